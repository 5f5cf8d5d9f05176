r"""Mathematics: the answer is LaTeX in a box (paper, section 3.1.2: easy and hard benchmarks)."""

import re
from typing import Literal

from delta import prompts
from delta.core.params import StrictModel
from delta.core.types import Row
from delta.data.formats import Question, RowError, first_column, pick_columns, text
from delta.data.sources import DataSource

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
    format: Literal["math-500", "gsm8k", "amc23", "minerva", "olympiadbench", "aime24", "aime25"]
    data: DataSource


def math_question(source: MathSource, row: Row) -> Question:
    statement = text(row, first_column(row, "problem", "question"))
    if source.format == "olympiadbench" and row.get("context"):
        statement = f"{text(row, 'context')}\n\n{statement}"
    metadata = pick_columns(row, *METADATA.get(source.format, ()))
    return Question(
        statement, prompts.with_instruction(statement), _gold(source.format, row), "math", metadata
    )


def _gold(form: str, row: Row) -> str:
    if form == "gsm8k":
        return _gsm8k(row)
    if form == "amc23":
        return _whole_number(row)
    if form == "olympiadbench":
        return _olympiad(row)
    if form in ("aime24", "aime25"):
        return _aime(row)
    return text(row, "answer")


def _gsm8k(row: Row) -> str:
    solution = text(row, "answer")
    found = GSM8K.search(solution)
    if not found:
        raise RowError("answer", solution[-60:], "a solution that ends in '#### ' and a number")
    return found[1].replace(",", "")


def _whole_number(row: Row) -> str:
    """Some copies of AMC 2023 store 27.0, as a number or as text."""
    value = row.get("answer")
    answer = str(value).strip()
    if isinstance(value, bool) or not isinstance(value, int | float | str) or not answer:
        raise RowError("answer", value, "a number or a text")
    whole = WHOLE_FLOAT.fullmatch(answer)
    return whole[1] if whole else answer


def _olympiad(row: Row) -> str:
    """A list of one LaTeX text, in which several answers stand with commas between them."""
    answers = row.get("final_answer")
    if not isinstance(answers, list) or not all(isinstance(one, str) for one in answers):
        raise RowError("final_answer", answers, "a list of texts")
    gold = DOLLAR.sub("", ", ".join(answers)).strip()
    if not gold:
        raise RowError("final_answer", answers, "a list with an answer")
    return gold


def _aime(row: Row) -> str:
    """An integer from 0 to 999, without leading zeros; the hub's 2024 has only a box."""
    column = first_column(row, "answer", "expected_answer", "solution")
    answer = str(row[column]).strip()
    if column == "solution":
        boxes = BOXED_AIME.findall(answer)
        answer = boxes[-1] if boxes else ""
    found = AIME.fullmatch(answer)
    if not found:
        what = "an integer from 0 to 999"
        raise RowError(column, row[column], f"{what} in a box" if column == "solution" else what)
    return str(int(found[1]))
