"""Benchmarks: named sets of questions with gold answers (paper, section 3.1.2)."""

import hashlib
from typing import Annotated, Literal

import polars as pl
from pydantic import Field, ValidationInfo, field_validator

from delta.core.params import StrictModel
from delta.data.formats.choice import GpqaSource, MmluProSource
from delta.data.formats.code import HumanEvalSource, LiveCodeBenchSource
from delta.data.formats.custom import ColumnsSource
from delta.data.formats.math import MathSource
from delta.data.formats.theoremqa import TheoremSource
from delta.data.reasoning_gym import TaskSource

Source = (
    TaskSource
    | MathSource
    | MmluProSource
    | TheoremSource
    | GpqaSource
    | LiveCodeBenchSource
    | HumanEvalSource
    | ColumnsSource
)


class BenchmarkParams(StrictModel):
    group: Literal[
        "easy", "hard", "stem", "code", "other"
    ]  # a group's score is the mean of its own
    samples: Annotated[int, Field(ge=1)]  # answers a question (avg@samples)
    max_tokens: Annotated[int, Field(ge=1)]  # of one answer
    source: Annotated[Source, Field(discriminator="format")]
    questions: Annotated[int, Field(ge=1)] | None  # the first so many questions; null: all

    @field_validator("questions")
    @classmethod
    def _ends(cls, questions: int | None, others: ValidationInfo) -> int | None:
        if questions is None and isinstance(others.data.get("source"), TaskSource):
            raise ValueError("a task has no end; allowed: a number")
        return questions


def version(name: str, params: BenchmarkParams, questions: pl.DataFrame) -> str:
    """What stands beside every score: where the questions come from, and a digest of them.

    The tests of programs are told by their source's revision: packed, they differ with zlib's.
    """
    digest = hashlib.sha256()
    columns = ("question_id", "prompt", "history", "gold_answer", "grader")
    for question_id, prompt, history, gold_answer, grader in questions.select(columns).iter_rows():
        gold = "" if grader == "code" else gold_answer
        turns = [part for turn in history for part in (turn["role"], turn["content"])]
        digest.update("\x00".join([question_id, *turns, prompt, gold, ""]).encode())
    return f"{name}: {_origin(params)} {digest.hexdigest()[:8]}"


def _origin(params: BenchmarkParams) -> str:
    source = params.source
    if isinstance(source, TaskSource):
        return source.version
    return f"{source.format} {source.data.label}"
