"""What the paper prints: its claims and its numbers."""
