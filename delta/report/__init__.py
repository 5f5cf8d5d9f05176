"""The paper's tables, figures and claims, the HTML page, and the pages of pairs and of answers."""
