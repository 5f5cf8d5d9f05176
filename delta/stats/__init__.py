"""Intervals, tests and correlations. Questions are the sampling unit everywhere."""
