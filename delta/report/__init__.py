"""The paper's tables, figures and claims, the HTML page, and the pair viewer."""
