"""Benchmarks, their questions, and scores of models."""
