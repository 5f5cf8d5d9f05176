"""Tests of delta/inference."""
