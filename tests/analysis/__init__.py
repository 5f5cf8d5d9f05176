"""Tests of delta/analysis."""
