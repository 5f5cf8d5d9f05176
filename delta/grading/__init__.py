"""Graders for formulas, options, theorems and programs; the workers; the stage verify."""
