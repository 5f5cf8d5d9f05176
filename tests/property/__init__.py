"""Facts that hold for any input: drawn examples, adversarial texts, fuzzing."""
