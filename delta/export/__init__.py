"""The selected pairs as a Hugging Face dataset, and the cards of dataset and policy."""
