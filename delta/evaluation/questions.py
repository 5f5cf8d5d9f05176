"""The questions of a benchmark, each with its prompt and gold answer (paper, section 3.1.2)."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import polars as pl

from delta.core.errors import InputError
from delta.core.schemas import QUESTION
from delta.core.tables import frame_of
from delta.core.types import Row
from delta.data import reasoning_gym
from delta.data.formats import (
    Question,
    RowError,
    choice,
    code,
    custom,
    math,
    normalized_text,
    theoremqa,
)
from delta.data.rows import read_rows
from delta.evaluation.benchmarks import BenchmarkParams, Source

Read = Callable[[Row], Question | str]  # a question, or why the row is none
IN_MEMORY = 32  # questions written together: LiveCodeBench's tests have gigabytes


def questions(name: str, params: BenchmarkParams, counts: Counter[str]) -> Iterator[pl.DataFrame]:
    """Question rows, few at a time; `counts` learns what became of every row of the source.

    A question's id is its place in the source, whatever `questions` is. Of a generated task each
    question is asked once; a published benchmark is asked as it is, so that its score compares
    with others, and `repeated` says how often it asks something again. Raises InputError for a
    row that cannot be asked, or, at the end, where there are not `questions` of them.
    """
    for part in _parts(_rows(name, params, counts)):
        yield frame_of(part, QUESTION)
    kept, dropped = counts["kept"], _dropped(counts)
    if not kept:
        raise InputError(f"benchmarks.{name}: none of {counts['read']} rows is left ({dropped})")
    if params.questions is not None and kept < params.questions:
        raise InputError(
            f"benchmarks.{name}.questions = {params.questions}: {counts['read']} rows of the "
            f"source give {kept} questions ({dropped}); allowed: 1 to {kept}"
        )


def summary(counts: Counter[str]) -> dict[str, Any]:
    """read = kept + dropped by reason + beyond_size."""
    return {
        "read": counts["read"],
        "kept": counts["kept"],
        "dropped": _dropped(counts),
        "beyond_size": counts["beyond_size"],
        "repeated": counts["repeated"],
    }


def _dropped(counts: Counter[str]) -> dict[str, int]:
    reasons = sorted(set(counts) - {"read", "kept", "beyond_size", "repeated"})
    return {reason: counts[reason] for reason in reasons}


def _parts(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while part := list(islice(rows, IN_MEMORY)):
        yield part


def _rows(name: str, params: BenchmarkParams, counts: Counter[str]) -> Iterator[Row]:
    found, read = _source(f"benchmarks.{name}.source", params)
    once = isinstance(params.source, reasoning_gym.TaskSource)
    asked = set[str]()
    for index, row in enumerate(found):
        counts["read"] += 1
        if counts["kept"] == params.questions:
            counts["beyond_size"] += 1
            continue
        try:
            question = read(row)
        except RowError as error:
            raise InputError(f"benchmarks.{name}: row {index}: {error}") from None
        if isinstance(question, str):
            counts[question] += 1
            continue
        # Of a conversation all turns: many end in the same words.
        said = [*(turn["content"] for turn in question.history), question.prompt]
        identity = normalized_text("\x00".join(said))
        again = identity in asked
        if again and once:
            counts["duplicate"] += 1
            continue
        counts["repeated"] += again
        asked.add(identity)
        counts["kept"] += 1
        written = json.dumps(question.metadata, sort_keys=True, default=str)
        yield question._asdict() | {"question_id": f"{name}.{index}", "metadata": written}


def _source(key: str, params: BenchmarkParams) -> tuple[Iterable[Row], Read]:
    """The rows of the source, and what reads one of them."""
    source = params.source
    if isinstance(source, reasoning_gym.TaskSource):
        assert params.questions is not None
        return reasoning_gym.task_rows(key, source, params.questions), reasoning_gym.task_question
    named = source.columns() if isinstance(source, custom.ColumnsSource) else None
    return read_rows(f"{key}.data", source.data, named), _reader(key, source)


def _reader(key: str, source: Source) -> Read:
    match source:
        case math.MathSource():
            return partial(math.math_question, source)
        case choice.MmluProSource():
            return partial(choice.mmlu_pro_question, choice.mmlu_pro_shots(key, source))
        case choice.GpqaSource():
            return partial(choice.gpqa_question, source)
        case theoremqa.TheoremSource():
            return partial(theoremqa.theoremqa_question, source)
        case code.LiveCodeBenchSource():
            return partial(code.livecodebench_question, source)
        case code.HumanEvalSource():
            return code.humaneval_question
        case custom.ColumnsSource():
            return partial(custom.custom_question, source)
        case reasoning_gym.TaskSource():
            return reasoning_gym.task_question
