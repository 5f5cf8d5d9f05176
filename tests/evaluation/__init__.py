"""Tests of delta/evaluation."""
