"""Estimate the requests, time, memory, disk and cost of a run before it starts."""
