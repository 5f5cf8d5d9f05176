"""Grids of parameters as DVC experiments, their results, and comparisons."""
