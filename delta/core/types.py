"""Names for the plain dictionaries that pass between functions."""

from typing import Any

Row = dict[str, Any]  # a table's row: column → value
Counts = dict[str, Any]  # of a stage: name → number, or nested counts
