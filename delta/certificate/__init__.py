"""The judge's certificate: which dimensions a rater sees, tried on pairs with a known fault."""
