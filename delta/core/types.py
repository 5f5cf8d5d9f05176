"""Names for types that pass between functions of several rooms."""

from collections.abc import Callable, Iterable
from typing import Any

Row = dict[str, Any]  # a table's row: column → value
Counts = dict[str, Any]  # of a stage: name → number, or nested counts
Progress = Callable[[Iterable[Any], int], Iterable[Any]]  # yields the items; shows how many of all
