"""Measurements that are no tests: run by hand, figures in the README."""
