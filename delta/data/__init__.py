"""Where problems, models and recorded traces come from; decontamination."""
