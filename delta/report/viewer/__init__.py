"""Write pages of all pairs and of all answers: HTML with its data in one folder."""
