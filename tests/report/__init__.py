"""Tests of delta/report."""
