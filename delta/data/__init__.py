"""Where problems, models and recorded traces come from, and what keeps benchmarks apart."""
