"""Measurements that are no tests. `make bench NAME=…` runs one and updates bench/RESULTS.md."""
