"""Tests of delta/plan."""
