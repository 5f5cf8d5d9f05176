"""Users' own questions: a table whose columns and grader are named in params.yaml."""

import json
from math import isfinite
from typing import Any, Literal

from pydantic import ValidationInfo, field_validator

from delta.core import strict_json
from delta.core.params import StrictModel
from delta.core.schemas import Message
from delta.core.types import Row
from delta.data.conversations import read_conversation
from delta.data.formats import choice, code, theoremqa
from delta.data.formats.question import Question, RowError, required_text
from delta.data.program_tests import pack, unpack
from delta.data.sources import DataSource
from delta.prompts import prompt_files

CODE_KEYS = {
    "stdin": {"kind", "tests"},
    "call": {"kind", "function", "tests"},
    "check": {"kind", "prompt", "function", "test"},
}


class ColumnsSource(StrictModel):
    """A benchmark from columns. The form of the gold answers depends on the grader.

    math: a number or bare LaTeX. choice: the letter; the column `options` has the list of texts.
    theorem: {"answer_type", "answer"}. code: as in delta.grading.code_grader, with tests packed or
    as a list of {"input", "output"}. Objects and lists may also be JSON in a text, as in CSV files.
    """

    format: Literal["columns"]
    data: DataSource
    statement: str
    gold_answer: str
    grader: Literal["math", "choice", "theorem", "code"]
    options: str | None

    @field_validator("options")
    @classmethod
    def _only_for_choice(cls, options: str | None, info: ValidationInfo) -> str | None:
        if (options is not None) != (info.data.get("grader") == "choice"):
            raise ValueError("expected a column exactly where the grader is choice")
        return options

    def columns(self) -> list[str]:
        """Return the columns that a row must have."""
        columns = [self.statement, self.gold_answer]
        return columns if self.options is None else [*columns, self.options]


def columns_question(source: ColumnsSource, row: Row) -> Question | str:
    """Return the row's question, or the reason why it is dropped."""
    history: list[Message] = []
    if isinstance(row.get(source.statement), list):
        conversation = read_conversation(source.statement, row[source.statement])
        if isinstance(conversation, str):
            return conversation
        statement, history = conversation.statement.strip(), conversation.history
    else:
        statement = required_text(row, source.statement)
    prompt, gold = _prompt_and_gold(source, statement, row)
    return Question(statement, prompt, gold, source.grader, {}, history)


def _prompt_and_gold(source: ColumnsSource, statement: str, row: Row) -> tuple[str, str]:
    value, column = row[source.gold_answer], source.gold_answer
    match source.grader:
        case "math":
            return prompt_files.with_instruction(statement), _math_gold(value, column)
        case "choice":
            name = source.options or ""
            options = choice.check_options(_parse_json(row[name]), name)
            gold = choice.gold_letter(value, column, options)
            return choice.choice_prompt(statement, options, []), gold
        case "theorem":
            return _theorem(statement, value, column)
        case "code":
            return _code(statement, value, column)


def _parse_json(value: Any) -> Any:
    """Return the value of a text that is JSON; any other value unchanged."""
    try:
        return strict_json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _math_gold(value: Any, column: str) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    gold = str(value).strip() if is_number or isinstance(value, str) else ""
    if not gold or gold.lower() == "nan" or (isinstance(value, float) and not isfinite(value)):
        raise RowError(column, value, "a number or LaTeX")
    return gold


def _theorem(statement: str, value: Any, column: str) -> tuple[str, str]:
    answer = _parse_json(value)
    if not isinstance(answer, dict) or set(answer) != {"answer_type", "answer"}:
        raise RowError(column, value, '{"answer_type": …, "answer": …}')
    answer_type = str(answer["answer_type"])
    gold = theoremqa.theorem_gold(answer_type, answer["answer"], column)
    return theoremqa.theorem_prompt(statement, answer_type), gold


def _code(statement: str, value: Any, column: str) -> tuple[str, str]:
    gold = _parse_json(value)
    kind = str(gold.get("kind")) if isinstance(gold, dict) else ""
    if kind not in CODE_KEYS or set(gold) != CODE_KEYS[kind]:
        kinds = " or ".join(f"{{{', '.join(sorted(keys))}}}" for keys in CODE_KEYS.values())
        raise RowError(column, value, f"an object with {kinds}")
    function = required_text(gold, "function") if kind != "stdin" else None
    if kind == "check":
        prompt = code.completion_prompt(required_text(gold, "prompt"))
        return prompt, code.humaneval_gold(gold["prompt"], str(function), gold["test"])
    gold_answer = json.dumps(gold | {"tests": _pack_tests(gold["tests"], column)})
    return code.code_prompt(statement, function, ""), gold_answer


def _pack_tests(value: Any, column: str) -> str:
    try:
        packed = value if isinstance(value, str) else pack(value)
        tests = unpack(packed)
    except (ValueError, TypeError) as error:
        expected = f'tests as a list of {{"input", "output"}} ({error})'
        raise RowError(column, value, expected) from None
    if not tests:
        raise RowError(column, value, "at least one test")
    return packed
