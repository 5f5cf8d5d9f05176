"""Tests of delta/export."""
