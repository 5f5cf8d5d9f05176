"""Tests of delta/training."""
