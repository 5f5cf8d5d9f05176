"""A user's own questions: a table whose columns and grader params.yaml names."""

import json
from math import isfinite
from typing import Any, Literal

from pydantic import ValidationInfo, field_validator

from delta import prompts
from delta.core import strict_json
from delta.core.params import StrictModel
from delta.core.schemas import Message
from delta.core.types import Row
from delta.data import conversations
from delta.data.formats import Question, RowError, choice, code, text, theoremqa
from delta.data.program_tests import pack, unpack
from delta.data.sources import DataSource


class ColumnsSource(StrictModel):
    """What the column of gold answers holds depends on the grader.

    math: a number or bare LaTeX. choice: the letter; the column `options` holds the list of texts.
    theorem: {"answer_type", "answer"}. code: what delta.grading.code says, its tests packed or as
    a list of {"input", "output"}. Objects and lists may also be JSON in a text, as CSV has them.
    """

    format: Literal["columns"]
    data: DataSource
    statement: str
    gold_answer: str
    grader: Literal["math", "choice", "theorem", "code"]
    options: str | None

    @field_validator("options")
    @classmethod
    def _of_choice(cls, options: str | None, others: ValidationInfo) -> str | None:
        if (options is not None) != (others.data.get("grader") == "choice"):
            raise ValueError("allowed: a column exactly where the grader is choice")
        return options

    def columns(self) -> list[str]:
        named = [self.statement, self.gold_answer]
        return named if self.options is None else [*named, self.options]


def custom_question(source: ColumnsSource, row: Row) -> Question | str:
    """Return the row's question, or why it has none: turns that a text cannot hold."""
    history: list[Message] = []
    if isinstance(row.get(source.statement), list):
        conversation = conversations.read_question(source.statement, row[source.statement])
        if isinstance(conversation, str):
            return conversation
        statement, history = conversation.statement.strip(), conversation.messages()
    else:
        statement = text(row, source.statement)
    value = row[source.gold_answer]
    match source.grader:
        case "math":
            prompt, gold = prompts.with_instruction(statement), _math(value, source.gold_answer)
        case "choice":
            assert source.options is not None
            options = choice.check_options(_plain(row[source.options]), source.options)
            prompt = choice.choice_prompt(statement, options, [])
            gold = choice.gold_letter(value, source.gold_answer, options)
        case "theorem":
            prompt, gold = _theorem(statement, value, source.gold_answer)
        case "code":
            prompt, gold = _code(statement, value, source.gold_answer)
    return Question(statement, prompt, gold, source.grader, {}, history)


def _plain(value: Any) -> Any:
    """The object or list that a text may hold as JSON."""
    if isinstance(value, str):
        try:
            return strict_json.parsed(value)
        except ValueError:
            return value
    return value


def _math(value: Any, column: str) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    gold = str(value).strip() if is_number or isinstance(value, str) else ""
    if not gold or gold.lower() == "nan" or (isinstance(value, float) and not isfinite(value)):
        raise RowError(column, value, "a number or LaTeX")
    return gold


def _theorem(statement: str, value: Any, column: str) -> tuple[str, str]:
    found = _plain(value)
    if not isinstance(found, dict) or set(found) != {"answer_type", "answer"}:
        raise RowError(column, value, '{"answer_type": …, "answer": …}')
    answer_type = str(found["answer_type"])
    gold = theoremqa.theorem_gold(answer_type, found["answer"], column)
    return theoremqa.theorem_prompt(statement, answer_type), gold


def _code(statement: str, value: Any, column: str) -> tuple[str, str]:
    found = _plain(value)
    allowed = {
        "stdin": {"kind", "tests"},
        "call": {"kind", "function", "tests"},
        "check": {"kind", "prompt", "function", "test"},
    }
    kind = found.get("kind") if isinstance(found, dict) else None
    if kind not in allowed or set(found) != allowed[kind]:
        kinds = " or ".join(f"{{{', '.join(sorted(keys))}}}" for keys in allowed.values())
        raise RowError(column, value, f"an object with {kinds}")
    function = text(found, "function") if "function" in found else None
    if kind == "check":
        prompt = code.completion_prompt(text(found, "prompt"))
        return prompt, code.humaneval_gold(found["prompt"], str(function), found["test"])
    gold = json.dumps(found | {"tests": _tests(found["tests"], column)})
    return code.code_prompt(statement, function, ""), gold


def _tests(value: Any, column: str) -> str:
    try:
        packed = value if isinstance(value, str) else pack(value)
        tests = unpack(packed)
    except (ValueError, TypeError) as error:
        raise RowError(
            column, value, f'tests as a list of {{"input", "output"}} ({error})'
        ) from None
    if not tests:
        raise RowError(column, value, "at least one test")
    return packed
