"""Tests of delta/core."""
