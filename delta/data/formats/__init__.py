"""Benchmark rows become questions here, with a module for each family of formats."""
