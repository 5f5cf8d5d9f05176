"""A question of a benchmark, and what all formats need to read one from a row."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from delta.core.schemas import Message
from delta.core.types import Row
from delta.prompts import prompt_files

MAX_VALUE = 100  # characters of a value in an error message


class Question(NamedTuple):
    """A question from one row of a benchmark."""

    statement: str  # the bare question
    prompt: str  # the whole user turn
    gold_answer: str  # as the grader wants it
    grader: str  # one of delta.core.schemas.GRADERS
    metadata: dict[str, Any]
    history: Sequence[Message] = ()  # the turns before the prompt


class RowError(Exception):
    """A row that cannot become a question: its column, the value, and what is expected."""

    def __init__(self, column: str, value: Any, expected: str) -> None:
        text = repr(value)
        text = text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…"
        super().__init__(f"{column} = {text}; expected {expected}")


def required_text(row: Row, column: str) -> str:
    """Return the column's text without white space around it. Raises RowError if there is none."""
    value = row.get(column)
    if not isinstance(value, str) or not value.strip():
        raise RowError(column, value, "a text")
    return value.strip()


def first_column(row: Row, *columns: str) -> str:
    """Return the first of `columns` that the row has. Copies of a benchmark differ in names."""
    for column in columns:
        if row.get(column) is not None:
            return column
    raise RowError(columns[0], None, f"a value there or in {', '.join(columns[1:])}")


def pick_columns(row: Row, *columns: str) -> dict[str, Any]:
    """Return the row's values in those of `columns` that it has, for the metadata."""
    return {column: row[column] for column in columns if row.get(column) is not None}


def generated_question(row: Row) -> Question:
    """Return the question of a problem that a seed generated, for the grader math."""
    statement = row["statement"]
    prompt = prompt_files.with_instruction(statement)
    return Question(statement, prompt, row["gold_answer"], "math", json.loads(row["metadata"]))
