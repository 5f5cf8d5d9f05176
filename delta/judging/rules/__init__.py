"""The rule judge, which reads a trace without a model."""
