"""Right, wrong, or not gradable: one module for each kind of answer."""
