"""Tests of delta/stats."""
