"""Read the questions of a benchmark with prompts and gold answers (paper, section 3.1.2)."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice

import polars as pl

from delta.core.errors import InputError
from delta.core.schemas import QUESTION
from delta.core.tables import frame_of
from delta.core.types import Counts, Row
from delta.data import arithmetic, reasoning_gym
from delta.data.formats import choice, code, math, theoremqa
from delta.data.formats.columns import ColumnsSource, columns_question
from delta.data.formats.question import Question, RowError, generated_question
from delta.data.rows import read_rows
from delta.evaluation.benchmarks import BenchmarkParams, Source

ReadRow = Callable[[Row], Question | str]  # a question, or the reason why the row is dropped
BATCH_SIZE = 32  # questions in memory, because LiveCodeBench's tests are gigabytes
OVERDRAW = 5  # a small task repeats questions, and a benchmark asks each question once
NOT_REASONS = ("read", "kept", "beyond_size", "repeated")


def question_batches(
    name: str, params: BenchmarkParams, counts: Counter[str]
) -> Iterator[pl.DataFrame]:
    """Yield batches of questions; count in `counts` the outcome of every row of the source.

    A question's id is its index in the source and does not depend on `questions`. Repeated
    questions of a generated task are dropped. A published benchmark keeps and counts them
    (`repeated`), so that scores are comparable. Raises InputError for an invalid row, or at the end
    if there are fewer than `questions`.
    """
    rows = _rows(name, params, counts)
    while batch := list(islice(rows, BATCH_SIZE)):
        yield frame_of(batch, QUESTION)
    kept, dropped = counts["kept"], _dropped(counts)
    if not kept:
        raise InputError(f"benchmarks.{name}: none of {counts['read']} rows is left ({dropped})")
    if params.questions is not None and kept < params.questions:
        raise InputError(
            f"benchmarks.{name}.questions = {params.questions}: {counts['read']} rows of the "
            f"source give {kept} questions ({dropped}); expected 1 to {kept}"
        )


def summarize_counts(counts: Counter[str]) -> Counts:
    """Return the counts of a stage: read = kept + dropped by reason + beyond_size."""
    return {
        "read": counts["read"],
        "kept": counts["kept"],
        "dropped": _dropped(counts),
        "beyond_size": counts["beyond_size"],
        "repeated": counts["repeated"],
    }


def _dropped(counts: Counter[str]) -> dict[str, int]:
    return {reason: counts[reason] for reason in sorted(counts) if reason not in NOT_REASONS}


def _rows(name: str, params: BenchmarkParams, counts: Counter[str]) -> Iterator[Row]:
    rows, read = _open(f"benchmarks.{name}.source", params)
    drop_repeated = isinstance(params.source, reasoning_gym.TaskSource)
    seen = set[str]()
    for index, row in enumerate(rows):
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
        # All turns of a conversation, because many end in the same words.
        turns = [*(turn["content"] for turn in question.history), question.prompt]
        text = _normalized_text("\x00".join(turns))
        is_repeated = text in seen
        if is_repeated and drop_repeated:
            counts["duplicate"] += 1
            continue
        counts["repeated"] += is_repeated
        seen.add(text)
        counts["kept"] += 1
        metadata = json.dumps(question.metadata, sort_keys=True, default=str)
        yield question._asdict() | {"question_id": f"{name}.{index}", "metadata": metadata}


def _open(key: str, params: BenchmarkParams) -> tuple[Iterable[Row], ReadRow]:
    """Return the rows of the source, and the function that reads a row."""
    source = params.source
    if isinstance(source, reasoning_gym.TaskSource):
        assert params.questions is not None
        number = OVERDRAW * params.questions
        rows: Iterable[Row] = reasoning_gym.generate_problems(key, source, number)
    elif isinstance(source, arithmetic.ArithmeticSource):
        assert params.questions is not None
        rows = arithmetic.generate_problems(key, source, params.questions)
    else:
        columns = source.columns() if isinstance(source, ColumnsSource) else None
        rows = read_rows(f"{key}.data", source.data, columns)
    return rows, _reader(key, source)


def _reader(key: str, source: Source) -> ReadRow:
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
        case ColumnsSource():
            return partial(columns_question, source)
        case arithmetic.ArithmeticSource() | reasoning_gym.TaskSource():
            return generated_question


def _normalized_text(text: str) -> str:
    """Return the text in lower case with single spaces, to compare questions."""
    return " ".join(text.casefold().split())
