"""The judge and the deltas examined: what the paper's readers object to (its section 3.1.2)."""
