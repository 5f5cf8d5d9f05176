"""TheoremQA: the answer has one of six types, and the prompt names it (paper, section 3.1.2)."""

import ast
import json
import math
import re
from functools import cache
from typing import Any, Literal

import yaml

from delta import prompts
from delta.core.params import StrictModel
from delta.core.types import Row
from delta.data.formats import Question, RowError, text
from delta.data.sources import DataSource

OPTION = re.compile(r"\(?[a-zA-Z]\)?")


class TheoremSource(StrictModel):
    format: Literal["theoremqa"]
    data: DataSource
    pictures: Literal["drop", "keep"]  # questions about a picture, which no model here sees


def theoremqa_question(source: TheoremSource, row: Row) -> Question | str:
    statement, answer_type = text(row, "Question"), text(row, "Answer_type")
    picture = has_picture(row.get("Picture"))
    if picture and source.pictures == "drop":
        return "picture"
    gold = theorem_gold(answer_type, row.get("Answer"), "Answer")
    metadata = {"answer_type": answer_type, "picture": picture}
    return Question(statement, theorem_prompt(statement, answer_type), gold, "theorem", metadata)


def has_picture(value: Any) -> bool:
    """A path, an image, or the hub's {bytes, path}, which may hold two nulls."""
    return any(value.values()) if isinstance(value, dict) else bool(value)


def theorem_prompt(statement: str, answer_type: str) -> str:
    instruction = prompts.text("instruction.txt")
    return f"{instruction} {answer_forms()[answer_type]}\n\n{statement}"


@cache
def answer_forms() -> dict[str, str]:
    """Of each answer type, what the prompt says of its form."""
    found: dict[str, str] = yaml.safe_load(prompts.text("theorem.yaml"))
    return found


def theorem_gold(answer_type: str, value: Any, column: str) -> str:
    """JSON of the answer with its type. The hub has every answer as a text."""
    if answer_type not in answer_forms():
        raise RowError("Answer_type", answer_type, ", ".join(answer_forms()))
    try:
        answer = _typed(answer_type, value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # of literal_eval
        raise RowError(column, value, f"an answer of type {answer_type}") from None
    return json.dumps({"answer_type": answer_type, "answer": answer})


def _typed(answer_type: str, value: Any) -> Any:
    if answer_type == "option":
        if not isinstance(value, str) or not OPTION.fullmatch(value.strip()):
            raise ValueError
        return value.strip()
    found = ast.literal_eval(value.strip()) if isinstance(value, str) else value
    if answer_type == "bool":
        if not isinstance(found, bool):
            raise ValueError
        return found
    if answer_type.startswith("list"):
        if not isinstance(found, list) or not found:
            raise ValueError
        return [_number(one) for one in found]
    number = _number(found)
    if answer_type == "integer" and number != int(number):
        raise ValueError
    return int(number) if answer_type == "integer" else number


def _number(value: Any) -> int | float:
    """Finite, and not a bool, which Python counts as a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError
    return value
