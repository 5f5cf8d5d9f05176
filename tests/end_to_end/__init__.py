"""Whole runs through DVC."""
