"""How the rows of benchmarks become questions: one module for each family of formats."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from delta.core.schemas import Message
from delta.core.types import Row


class Question(NamedTuple):
    """What one row of a benchmark asks."""

    statement: str  # the bare question
    prompt: str  # the whole user turn
    gold_answer: str  # as the grader wants it
    grader: str  # one of delta.core.schemas.GRADERS
    metadata: dict[str, Any]
    history: Sequence[Message] = ()  # the turns before the prompt


class RowError(Exception):
    """A row that cannot be asked: which column, what it holds, what is allowed."""

    def __init__(self, column: str, value: Any, allowed: str) -> None:
        shown = repr(value)
        shown = shown if len(shown) <= 100 else f"{shown[:100]}…"
        super().__init__(f"{column} = {shown}: allowed: {allowed}")


def text(row: Row, column: str) -> str:
    """The column's text, without white space at its ends. RowError where there is none."""
    value = row.get(column)
    if not isinstance(value, str) or not value.strip():
        raise RowError(column, value, "a text")
    return value.strip()


def first_column(row: Row, *columns: str) -> str:
    """The first of the columns that the row has: copies of a benchmark name them differently."""
    for column in columns:
        if row.get(column) is not None:
            return column
    raise RowError(columns[0], None, f"a value there or in {', '.join(columns[1:])}")


def pick_columns(row: Row, *columns: str) -> dict[str, Any]:
    """What the row says in these columns, for the metadata."""
    return {column: row[column] for column in columns if row.get(column) is not None}
