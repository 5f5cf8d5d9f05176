"""Commands that are no stage, and DVC's queue."""
