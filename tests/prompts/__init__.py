"""Tests of delta/prompts."""
