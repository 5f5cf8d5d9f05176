"""Sources of problems, models and recorded traces; decontamination."""
