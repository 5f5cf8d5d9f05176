"""Tests of delta/grading."""
