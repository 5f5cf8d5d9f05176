"""TheoremQA: the answer has one of six types, and the prompt names it (paper, section 3.1.2)."""

import ast
import json
import math
import re
from functools import cache
from typing import Any, Literal

import yaml

from delta.core.params import StrictModel
from delta.core.types import Row
from delta.data.formats.question import Question, RowError, required_text
from delta.data.sources import DataSource
from delta.prompts import prompt_files

OPTION = re.compile(r"\(?[a-zA-Z]\)?")


class TheoremSource(StrictModel):
    """TheoremQA, whose gold answers have types."""

    format: Literal["theoremqa"]
    data: DataSource
    pictures: Literal["drop", "keep"]  # questions about a picture, which no model here sees


def theoremqa_question(source: TheoremSource, row: Row) -> Question | str:
    """Return the row's question, or the reason why it is dropped."""
    statement, answer_type = required_text(row, "Question"), required_text(row, "Answer_type")
    picture = row.get("Picture")  # a path, an image, or the hub's {bytes, path} of two nulls
    has_picture = any(picture.values()) if isinstance(picture, dict) else bool(picture)
    if has_picture and source.pictures == "drop":
        return "picture"
    gold = theorem_gold(answer_type, row.get("Answer"), "Answer")
    metadata = {"answer_type": answer_type, "picture": has_picture}
    return Question(statement, theorem_prompt(statement, answer_type), gold, "theorem", metadata)


def theorem_prompt(statement: str, answer_type: str) -> str:
    """Return the user turn; `answer_type` is a key of `answer_forms`."""
    instruction = prompt_files.text("instruction.txt")
    return f"{instruction} {answer_forms()[answer_type]}\n\n{statement}"


@cache
def answer_forms() -> dict[str, str]:
    """Return what the prompt says about the form of each answer type."""
    forms: dict[str, str] = yaml.safe_load(prompt_files.text("benchmarks/theorem.yaml"))
    return forms


def theorem_gold(answer_type: str, value: Any, column: str) -> str:
    """Return JSON of the answer with its type. The hub has every answer as a text."""
    if answer_type not in answer_forms():
        raise RowError("Answer_type", answer_type, f"one of {', '.join(answer_forms())}")
    try:
        answer = _parse_answer(answer_type, value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # of literal_eval
        raise RowError(column, value, f"an answer of type {answer_type}") from None
    return json.dumps({"answer_type": answer_type, "answer": answer})


def _parse_answer(answer_type: str, value: Any) -> Any:
    """Return the answer as its type. Raises ValueError, or what `literal_eval` raises."""
    if answer_type == "option":
        if not isinstance(value, str) or not OPTION.fullmatch(value.strip()):
            raise ValueError
        return value.strip()
    answer = ast.literal_eval(value.strip()) if isinstance(value, str) else value
    if answer_type == "bool":
        if not isinstance(answer, bool):
            raise ValueError
        return answer
    if answer_type.startswith("list"):
        if not isinstance(answer, list) or not answer:
            raise ValueError
        return [_check_number(entry) for entry in answer]
    number = _check_number(answer)
    if answer_type == "integer" and number != int(number):
        raise ValueError
    return int(number) if answer_type == "integer" else number


def _check_number(value: Any) -> int | float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError
    number: int | float = value
    return number
