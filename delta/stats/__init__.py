"""Intervals, tests and correlations. Questions are the unit of chance everywhere."""
