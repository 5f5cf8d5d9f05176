"""Facts about the pipeline, on toy data; the few real runs are marked slow."""
