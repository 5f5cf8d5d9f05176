"""The parameters and the version of a benchmark (paper, section 3.1.2)."""

import hashlib
from typing import Annotated, Literal

import polars as pl
from pydantic import Field, ValidationInfo, field_validator

from delta.core.params import StrictModel
from delta.data.arithmetic import ArithmeticSource
from delta.data.formats.choice import GpqaSource, MmluProSource
from delta.data.formats.code import HumanEvalSource, LiveCodeBenchSource
from delta.data.formats.columns import ColumnsSource
from delta.data.formats.math import MathSource
from delta.data.formats.theoremqa import TheoremSource
from delta.data.reasoning_gym import TaskSource

Source = (
    ArithmeticSource
    | TaskSource
    | MathSource
    | MmluProSource
    | TheoremSource
    | GpqaSource
    | LiveCodeBenchSource
    | HumanEvalSource
    | ColumnsSource
)
GENERATED = (ArithmeticSource, TaskSource)  # from a seed, without end


class BenchmarkParams(StrictModel):
    group: Literal["easy", "hard", "stem", "code", "other"]  # its score is its benchmarks' mean
    samples: Annotated[int, Field(ge=1)]  # answers per question (avg@samples)
    max_tokens: Annotated[int, Field(ge=1)]  # per answer
    source: Annotated[Source, Field(discriminator="format")]
    questions: Annotated[int, Field(ge=1)] | None  # the first ones of the source; null: all

    @field_validator("questions")
    @classmethod
    def _is_finite(cls, questions: int | None, info: ValidationInfo) -> int | None:
        if questions is None and isinstance(info.data.get("source"), GENERATED):
            raise ValueError("generated questions have no end; expected a number")
        return questions


def benchmark_version(name: str, params: BenchmarkParams, questions: pl.DataFrame) -> str:
    """Return the version that is reported with a score: the source, and a digest of its questions.

    The digest leaves out the tests of programs: their packed bytes depend on the version of zlib,
    and the revision of the source identifies them.
    """
    digest = hashlib.sha256()
    columns = ("question_id", "prompt", "history", "gold_answer", "grader")
    for question_id, prompt, history, gold_answer, grader in questions.select(columns).iter_rows():
        gold = "" if grader == "code" else gold_answer
        turns = [text for turn in history for text in (turn["role"], turn["content"])]
        digest.update("\x00".join([question_id, *turns, prompt, gold, ""]).encode())
    source = params.source
    if isinstance(source, GENERATED):
        origin = source.version
    else:
        origin = f"{source.format} {source.data.label}"
    return f"{name}: {origin} {digest.hexdigest()[:8]}"
