"""OpenR1-Math-220k: its problems, and DeepSeek-R1's own traces of them (paper, section 3.1).

A row holds a problem and several generations; the verdicts of a row are those of Llama where Llama
was asked (only where Math-Verify had found nothing right), else those of Math-Verify.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import pydantic

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.types import Row
from delta.data import sources
from delta.data.sources import DataSource
from delta.data.user_tables import origin, problem_id


class OpenR1Problems(StrictModel):
    data: DataSource
    llama_verdicts: bool  # whether they count; if not, Math-Verify's stand alone
    complete: Literal["any", "chosen", "both"]  # which of a right and a wrong trace must be whole


class OpenR1Traces(StrictModel):
    data: DataSource
    llama_verdicts: bool


class Verdicts(pydantic.BaseModel):
    """What both readers need of a row; no generation is among it, so it is light."""

    model_config = pydantic.ConfigDict(strict=True, frozen=True)

    is_reasoning_complete: list[bool | None] | None
    correctness_math_verify: list[bool | None] | None
    correctness_llama: list[bool | None] | None
    finish_reasons: list[str | None] | None

    def lists(self) -> list[list[Any] | None]:
        """All lists that the row must have, and those that it may have and has."""
        optional = (self.correctness_llama, self.finish_reasons)
        must = (self.is_reasoning_complete, self.correctness_math_verify)
        return [*must, *(one for one in optional if one is not None)]


class ProblemRow(Verdicts):
    problem: str | None
    answer: str | None
    problem_type: str | None
    source: str | None
    uuid: str | None  # null or repeated in some rows: kept to find a row again, never a key


class TraceRow(Verdicts):
    generations: list[str | None] | None

    def lists(self) -> list[list[Any] | None]:
        return [self.generations, *super().lists()]


V = TypeVar("V", bound=Verdicts)


def verdicts(row: Verdicts, llama: bool) -> list[bool | None]:
    if llama and row.correctness_llama is not None:
        return row.correctness_llama
    assert row.correctness_math_verify is not None
    return row.correctness_math_verify


def read_problems(
    key: str, source: str, params: OpenR1Problems, by_rule: Counter[str]
) -> Iterator[Row | str]:
    """Each row's problem, or why there is none.

    `by_rule` counts the rows with a right and a wrong trace under either rule of verdicts.
    """
    kept = origin(params.data)
    for number, line in enumerate(
        sources.read_rows(key, params.data, list(ProblemRow.model_fields))
    ):
        row = _checked(key, number, line, ProblemRow)
        if reason := _unusable(row):
            yield reason
            continue
        for rule, llama in (("with_llama", True), ("math_verify_alone", False)):
            by_rule[rule] += _missing_kind(row, llama, params.complete) is None
        if reason := _missing_kind(row, params.llama_verdicts, params.complete):
            yield reason
            continue
        yield {
            "problem_id": problem_id(source, number),
            "statement": row.problem,
            "gold_answer": row.answer,
            "source": f"{kept} {row.source}",
            "domain": row.problem_type,
            "metadata": json.dumps({"uuid": row.uuid}),
        }


def read_traces(key: str, source: str, params: OpenR1Traces) -> Iterator[Row | str]:
    """Every generation of every row, or why it is none; a row as a whole gives one reason."""
    for number, line in enumerate(sources.read_rows(key, params.data, list(TraceRow.model_fields))):
        row = _checked(key, number, line, TraceRow)
        if _lists_differ(row):
            yield "row_lists_differ"
            continue
        assert row.generations is not None
        right = verdicts(row, params.llama_verdicts)
        for sample, text in enumerate(row.generations):
            if not text:
                yield "no_text"
                continue
            yield {
                "problem_id": problem_id(source, number),
                "sample": sample,
                "text": text,
                "finish_reason": _finish_reason(row, sample),
                "outcome": {True: "correct", False: "incorrect", None: None}[right[sample]],
            }


def _unusable(row: ProblemRow) -> str | None:
    if _lists_differ(row):
        return "lists_differ"
    if not (row.problem and row.problem.strip()):
        return "no_statement"
    if not (row.answer and row.answer.strip()):
        return "no_answer"
    return None


def _lists_differ(row: Verdicts) -> bool:
    """Whether the lists are not all there with one entry for each generation."""
    return len({None if one is None else len(one) for one in row.lists()}) != 1 or (
        row.is_reasoning_complete is None
    )


def _missing_kind(row: ProblemRow, llama: bool, complete: str) -> str | None:
    """Which of a correct and an incorrect trace the row lacks."""
    assert row.is_reasoning_complete is not None
    whole = [one is True for one in row.is_reasoning_complete]
    right = verdicts(row, llama)
    if not any(r is True and (w or complete == "any") for r, w in zip(right, whole, strict=True)):
        return "none_correct"
    if not any(r is False and (w or complete != "both") for r, w in zip(right, whole, strict=True)):
        return "none_incorrect"
    return None


def _finish_reason(row: TraceRow, sample: int) -> str:
    reason = row.finish_reasons[sample] if row.finish_reasons is not None else None
    if reason in ("stop", "length"):
        return reason
    assert row.is_reasoning_complete is not None
    return "stop" if row.is_reasoning_complete[sample] else "length"


def _checked(key: str, number: int, line: Row, kind: type[V]) -> V:
    try:
        return kind.model_validate(line)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        column = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{key}: row {number}: {column} = {str(first['input'])[:80]!r}: "
            f"{first['msg'].removeprefix('Input ')}"
        ) from None
