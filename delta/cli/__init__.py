"""Commands that are no stage, a module each."""
