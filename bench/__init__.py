"""Benchmarks. `make bench NAME=…` runs one and updates bench/RESULTS.md."""
