"""Tests of delta/solver."""
