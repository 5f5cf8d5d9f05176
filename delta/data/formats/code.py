"""Programs: LiveCodeBench (paper, section 3.1.2) and HumanEval (ours).

delta.grading.code_grader describes the gold answers.
"""

import json
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from delta.core.params import StrictModel
from delta.core.types import Row
from delta.data.formats.question import Question, RowError, pick_columns, required_text
from delta.data.program_tests import Test, pack, read_livecodebench
from delta.data.sources import DataSource
from delta.prompts import prompt_files


def _check_day(value: Any) -> Any:
    if isinstance(value, date):
        raise ValueError(f'a bare date, which DVC cannot hash; expected "{value}", in quotes')
    if isinstance(value, str):
        date.fromisoformat(value)
    return value


Day = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$"), BeforeValidator(_check_day)]


class LiveCodeBenchSource(StrictModel):
    """LiveCodeBench, of contests on the days `from_date` to `to_date`, both included."""

    format: Literal["livecodebench"]
    data: DataSource
    from_date: Day | None  # the first day of contests
    to_date: Day | None  # the last day


class HumanEvalSource(StrictModel):
    """HumanEval: functions to complete."""

    format: Literal["humaneval"]
    data: DataSource


def livecodebench_question(source: LiveCodeBenchSource, row: Row) -> Question | str:
    """Return the row's question, or the reason why it is dropped."""
    day = _contest_day(row)
    if not (source.from_date or day) <= day <= (source.to_date or day):
        return "outside_dates"
    statement, starter = required_text(row, "question_content"), row.get("starter_code") or ""
    function = _function_name(row)
    if bool(starter.strip()) != bool(function):
        expected = f"one exactly where there is a func_name ({function})"
        raise RowError("starter_code", starter, expected)
    tests = _read_tests(row, "public_test_cases") + _read_tests(row, "private_test_cases")
    if not tests:
        raise RowError("public_test_cases", "[]", "a test there or in private_test_cases")
    # Pack them at once: the unpacked tests of all problems would not fit in memory.
    kind = {"kind": "call", "function": function} if function else {"kind": "stdin"}
    gold = json.dumps(kind | {"tests": pack(tests)})
    metadata = pick_columns(row, "question_id", "question_title", "platform", "difficulty")
    metadata |= {"contest_date": day}
    return Question(statement, code_prompt(statement, function, starter), gold, "code", metadata)


def _contest_day(row: Row) -> str:
    day = str(row.get("contest_date"))[:10]
    try:
        date.fromisoformat(day)
    except ValueError:
        raise RowError("contest_date", row.get("contest_date"), "a day, as 2024-08-01") from None
    return day


def _function_name(row: Row) -> str | None:
    """Return the function that the tests call; None where the program reads standard input."""
    try:
        name = json.loads(row.get("metadata") or "{}").get("func_name")
    except (ValueError, TypeError, AttributeError):
        raise RowError("metadata", row.get("metadata"), "JSON of an object") from None
    if name is not None and (not isinstance(name, str) or not name.isidentifier()):
        raise RowError("metadata", name, "a func_name that is a name")
    return name


def _read_tests(row: Row, column: str) -> list[Test]:
    value = required_text(row, column)
    try:
        return read_livecodebench(value)
    except ValueError as error:
        raise RowError(column, value, f"LiveCodeBench's tests ({error})") from None


def code_prompt(statement: str, function: str | None, starter: str) -> str:
    """Return the prompt for a function, or for a program that reads standard input."""
    if function is None:
        return prompt_files.template("benchmarks/code_stdin.txt").substitute(statement=statement)
    if starter.strip():
        statement += f"\n\nStart from this code:\n\n```python\n{starter.rstrip()}\n```"
    template = prompt_files.template("benchmarks/code_function.txt")
    return template.substitute(statement=statement, function=function)


def humaneval_question(row: Row) -> Question:
    """Return the question: imports, signature and docstring of the function to complete."""
    code = row.get("prompt")
    if not isinstance(code, str) or not code.strip():
        raise RowError("prompt", code, "a text")
    gold = humaneval_gold(code, required_text(row, "entry_point"), row.get("test"))
    return Question(code, completion_prompt(code), gold, "code", pick_columns(row, "task_id"))


def humaneval_gold(code: str, function: str, test: Any) -> str:
    """Return the gold answer as JSON. Raises RowError if `test` defines no check(candidate)."""
    if not isinstance(test, str) or "def check(" not in test:
        raise RowError("test", test, "Python that defines check(candidate)")
    return json.dumps({"kind": "check", "prompt": code, "function": function, "test": test})


def completion_prompt(code: str) -> str:
    return prompt_files.template("benchmarks/code_complete.txt").substitute(code=code.strip())
