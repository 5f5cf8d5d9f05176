"""One script a stage: parameters, inputs, one call, outputs, counts."""
