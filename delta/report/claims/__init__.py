"""The paper's claims: measure each, apply its rule, and put the result into words."""
