"""Pair chosen and rejected traces of a problem, compute deltas, and select pairs."""
