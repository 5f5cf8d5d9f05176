"""Tests of delta/judging."""
