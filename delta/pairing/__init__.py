"""Chosen and rejected traces of a problem, their deltas, and which pairs are kept."""
