"""Tests of delta/experiments."""
