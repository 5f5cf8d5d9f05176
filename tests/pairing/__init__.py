"""Tests of delta/pairing."""
