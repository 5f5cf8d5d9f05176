"""What preference pairs teach a reasoning model: the steps of the pipeline (arXiv 2604.08723)."""
