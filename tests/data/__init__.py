"""Tests of delta/data."""
