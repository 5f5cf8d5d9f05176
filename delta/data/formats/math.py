"""Mathematics: the answer is LaTeX in a box (paper, section 3.1.2: easy and hard benchmarks)."""

import re
from typing import Literal

from delta.core.params import StrictModel
from delta.core.types import Row
from delta.data.formats.question import (
    Question,
    RowError,
    first_column,
    pick_columns,
    required_text,
)
from delta.data.sources import DataSource
from delta.prompts import prompt_files

WHOLE_FLOAT = re.compile(r"(-?\d+)\.0+")
GSM8K = re.compile(r"####\s*(-?[\d,]+(?:\.\d+)?)\s*$")
AIME = re.compile(r"0*(\d{1,3})(?:\.0+)?(?:\^\{?\\circ\}?)?")  # a copy of 2025 has 336^\circ
BOXED_AIME = re.compile(r"\\boxed\s*\{\s*(\d+)\s*\}")
DOLLAR = re.compile(r"(?<!\\)\$")

METADATA = {
    "math-500": ("subject", "level", "unique_id"),
    "olympiadbench": ("subfield", "answer_type", "unit", "is_multiple_answer", "error"),
    "aime24": ("id", "url"),
    "aime25": ("id",),
}


class MathSource(StrictModel):
    """A benchmark whose gold answers are numbers or LaTeX."""

    format: Literal["math-500", "gsm8k", "amc23", "minerva", "olympiadbench", "aime24", "aime25"]
    data: DataSource


def math_question(source: MathSource, row: Row) -> Question:
    """Return the row's question. Raises RowError if a column has no text or no gold answer."""
    statement = required_text(row, first_column(row, "problem", "question"))
    if source.format == "olympiadbench" and row.get("context"):
        statement = f"{required_text(row, 'context')}\n\n{statement}"
    metadata = pick_columns(row, *METADATA.get(source.format, ()))
    prompt = prompt_files.with_instruction(statement)
    return Question(statement, prompt, _gold(source.format, row), "math", metadata)


def _gold(format_: str, row: Row) -> str:
    match format_:
        case "gsm8k":
            return _gsm8k_gold(row)
        case "amc23":
            return _whole_number(row)
        case "olympiadbench":
            return _olympiadbench_gold(row)
        case "aime24" | "aime25":
            return _aime_gold(row)
    return required_text(row, "answer")


def _gsm8k_gold(row: Row) -> str:
    solution = required_text(row, "answer")
    match = GSM8K.search(solution)
    if match is None:
        raise RowError("answer", solution[-60:], "a solution that ends in '#### ' and a number")
    return match[1].replace(",", "")


def _whole_number(row: Row) -> str:
    """Return the answer as a whole number. Some copies of AMC 2023 have 27.0, or its text."""
    value = row.get("answer")
    answer = str(value).strip()
    if isinstance(value, bool) or not isinstance(value, int | float | str) or not answer:
        raise RowError("answer", value, "a number or a text")
    match = WHOLE_FLOAT.fullmatch(answer)
    return match[1] if match else answer


def _olympiadbench_gold(row: Row) -> str:
    """Return the answers without dollar signs, joined with commas."""
    answers = row.get("final_answer")
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        raise RowError("final_answer", answers, "a list of texts")
    gold = DOLLAR.sub("", ", ".join(answers)).strip()
    if not gold:
        raise RowError("final_answer", answers, "a list with an answer")
    return gold


def _aime_gold(row: Row) -> str:
    """Return an integer from 0 to 999 without leading zeros. The hub's AIME 2024 has only a box."""
    column = first_column(row, "answer", "expected_answer", "solution")
    answer = str(row[column]).strip()
    expected = "an integer from 0 to 999"
    if column == "solution":
        boxes = BOXED_AIME.findall(answer)
        answer = boxes[-1] if boxes else ""
        expected += " in a box"
    match = AIME.fullmatch(answer)
    if match is None:
        raise RowError(column, row[column], expected)
    return str(int(match[1]))
