"""OpenR1-Math-220k: its problems, and DeepSeek-R1's traces of them (paper, section 3.1).

A row has a problem and several generations. Its verdicts are Llama's where it has some, else
Math-Verify's. The data set has Llama's only where Math-Verify accepted no generation.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import pydantic

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.types import Row
from delta.data.rows import read_rows
from delta.data.sources import DataSource, problem_id


class OpenR1Traces(StrictModel):
    """OpenR1-Math's generations and the verdicts on them."""

    data: DataSource
    llama_verdicts: bool  # false: only Math-Verify's are used


class OpenR1Problems(OpenR1Traces):
    """OpenR1-Math's problems with a correct and an incorrect generation."""

    require_complete: Literal["none", "chosen", "both"]  # of a correct and an incorrect trace


class Verdicts(pydantic.BaseModel):
    """The columns that both readers need. Each has an entry for every generation."""

    model_config = pydantic.ConfigDict(strict=True, frozen=True)

    is_reasoning_complete: list[bool | None] | None
    correctness_math_verify: list[bool | None] | None
    correctness_llama: list[bool | None] | None
    finish_reasons: list[str | None] | None

    def has_equal_lists(self, *others: list[Any] | None) -> bool:
        """Return whether all required lists, and the optional ones that exist, are equally long."""
        required = (self.is_reasoning_complete, self.correctness_math_verify, *others)
        optional = (self.correctness_llama, self.finish_reasons)
        lists = [*required, *(values for values in optional if values is not None)]
        lengths = {None if values is None else len(values) for values in lists}
        return len(lengths) == 1 and None not in lengths

    def correctness(self, llama: bool) -> list[bool | None]:
        """Return the verdicts by the module's rule, or Math-Verify's alone without `llama`."""
        llama_verdicts = self.correctness_llama if llama else None
        verdicts = self.correctness_math_verify if llama_verdicts is None else llama_verdicts
        return verdicts or []


class ProblemRow(Verdicts):
    """A row with the columns of the problem."""

    problem: str | None
    answer: str | None
    problem_type: str | None
    source: str | None
    uuid: str | None  # null or repeated in some rows, so it is metadata and never a key


class TraceRow(Verdicts):
    """A row with the texts of its generations."""

    generations: list[str | None] | None


V = TypeVar("V", bound=Verdicts)


def read_problems(
    key: str, source: str, params: OpenR1Problems, by_rule: Counter[str]
) -> Iterator[Row | str]:
    """Yield each row's problem, or the reason why it is dropped.

    `source` is the name in `problems.sources`. `by_rule` counts the rows that have both a correct
    and an incorrect trace, with Llama's verdicts and without.
    """
    for number, row in enumerate(_read(key, params.data, ProblemRow)):
        if reason := _missing_field(row):
            yield reason
            continue
        for rule, llama in (("with_llama", True), ("math_verify_alone", False)):
            by_rule[rule] += _missing_outcome(row, llama, params.require_complete) is None
        if reason := _missing_outcome(row, params.llama_verdicts, params.require_complete):
            yield reason
            continue
        yield {
            "problem_id": problem_id(source, number),
            "statement": row.problem,
            "gold_answer": row.answer,
            "source": f"{params.data.origin} {row.source}",
            "domain": row.problem_type,
            "metadata": json.dumps({"uuid": row.uuid}),
        }


def read_traces(key: str, source: str, params: OpenR1Traces) -> Iterator[Row | str]:
    """Yield every generation, or the reason why it is dropped; a dropped row gives one reason."""
    for number, row in enumerate(_read(key, params.data, TraceRow)):
        if not row.has_equal_lists(row.generations):
            yield "row_lists_differ"
            continue
        correctness = row.correctness(params.llama_verdicts)
        for sample, text in enumerate(row.generations or []):
            if not text:
                yield "no_text"
                continue
            yield {
                "problem_id": problem_id(source, number),
                "sample": sample,
                "text": text,
                "finish_reason": _finish_reason(row, sample),
                "outcome": {True: "correct", False: "incorrect", None: None}[correctness[sample]],
            }


def _read(key: str, data: DataSource, model: type[V]) -> Iterator[V]:
    for number, row in enumerate(read_rows(key, data, list(model.model_fields))):
        try:
            yield model.model_validate(row)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            column = ".".join(map(str, first["loc"]))
            raise InputError(
                f"{key}: row {number}: {column} = {str(first['input'])[:80]!r}: "
                f"{first['msg'].removeprefix('Input ')}"
            ) from None


def _missing_field(row: ProblemRow) -> str | None:
    """Return why the row has no problem; None where it has one."""
    if not row.has_equal_lists():
        return "lists_differ"
    if not (row.problem and row.problem.strip()):
        return "no_statement"
    if not (row.answer and row.answer.strip()):
        return "no_answer"
    return None


def _missing_outcome(row: ProblemRow, llama: bool, require_complete: str) -> str | None:
    """Return whether the row lacks a correct or an incorrect trace; None where it has both."""
    complete = [value is True for value in row.is_reasoning_complete or []]
    traces = list(zip(row.correctness(llama), complete, strict=True))
    if not any(correct is True and (end or require_complete == "none") for correct, end in traces):
        return "none_correct"
    if not any(correct is False and (end or require_complete != "both") for correct, end in traces):
        return "none_incorrect"
    return None


def _finish_reason(row: TraceRow, sample: int) -> str:
    reason = row.finish_reasons[sample] if row.finish_reasons is not None else None
    if reason in ("stop", "length"):
        return reason
    return "stop" if (row.is_reasoning_complete or [])[sample] else "length"
