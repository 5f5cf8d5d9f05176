"""Tests of delta/cli."""
