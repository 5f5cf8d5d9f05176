r"""Read a mathematical answer, and compare it with the gold answer (docs/grading.md).

1. boxes: find the last \boxed{...} of a text, or the last few that "and" or "or" joins.
2. cleaning: normalize signs, blanks, currencies and thousands.
3. tokens: split the answer into numbers, symbols, words, commands and signs.
4. formula_parser, by formula_grammar: parse tokens into the tree of a formula (trees).
5. scalar_parser: parse a formula with its unit, a number in a base, a time.
6. answer_parser: parse the answer into a value (values): a scalar, a list, a set of real numbers
   (sets), an equation, a matrix. An answer may have several readings.
7. answer_equality compares values structure by structure, scalar_equality their numbers and
   formulas: exactly (exact_values), by their digits (rounding), or at points (numeric_values).

vocabulary lists the known words and commands. Names say which comparison a function makes:
same_... whether a prediction answers the same as the gold answer, which comes first;
equal_... whether two formulas have the same value; identical_trees whether they are written alike;
is_close whether a written number is as near to the gold as its digits ask.
"""
