"""Verify traces: correct, incorrect, ungradable, or without a gold answer (paper, section 3.1).

The grader comes first. A recording may bring its own verdicts, which can be kept. A model may
compare the answers that the grader did not accept (delta.grading.llm_equivalence).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl

from delta.core import tables
from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.schemas import DECIDERS, NO_GOLD, TRACE, VERDICT
from delta.core.tables import TEXT_ROWS, frame_of
from delta.core.types import Counts
from delta.grading.config import GradingParams
from delta.grading.grade_all import check_max_ungradable, count_verdicts, grade_all
from delta.grading.graders import Case
from delta.grading.llm_equivalence import (
    ComparisonParams,
    UnresolvedAnswer,
    unresolved_answers,
)
from delta.grading.verdict import Verdict
from delta.prompts import trace_text


class VerifyParams(StrictModel):
    """The section `verify` of params.yaml."""

    recorded: Literal["keep", "grade"]  # keep a recording's verdicts, or use only the grader's
    llm_fallback: bool  # whether a model compares the answers that the grader did not accept
    llm: ComparisonParams  # read where llm_fallback is true


class GradedTraces(NamedTuple):
    """The verdicts of the grader and of recordings, before a model compares any answer."""

    verdicts: pl.DataFrame  # schemas.VERDICT
    recorded: Counts
    unresolved: list[UnresolvedAnswer]  # for the model; empty without `llm_fallback`


def grade_table(
    params: VerifyParams,
    grading: GradingParams,
    problems: pl.DataFrame,
    path: Path,
    progress: Callable[[Iterator[Any], int], Iterator[Any]] = lambda items, _: items,
) -> GradedTraces:
    """Grade the table of traces at `path`, and find the answers that a model is to compare."""
    traces = tables.scan(path, TRACE)
    with tables.wrap_read_errors(path):
        rows = join_problems(problems, traces.drop("text").collect(engine="streaming"))
        graded = grade_traces(
            grading, trace_batches(problems, traces), lambda items: progress(items, rows.height)
        )
        verdicts, recorded = apply_recorded_verdicts(params, rows, graded)
        unresolved = []
        if params.llm_fallback:
            unresolved = unresolved_answers(trace_batches(problems, traces), verdicts)
    return GradedTraces(verdicts, recorded, unresolved)


def join_problems(problems: pl.DataFrame, traces: pl.DataFrame) -> pl.DataFrame:
    """Return the traces with their problem's columns; InputError where a problem is missing."""
    joined = _join(problems, traces.lazy()).collect()
    if missing := joined.filter(pl.col("statement").is_null()).height:
        raise InputError(f"{missing} traces belong to no problem; rebuild them with `dvc repro`")
    return joined


def trace_batches(problems: pl.DataFrame, traces: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Yield the rows of `join_problems` in their order, few at a time: texts have gigabytes."""
    joined = _join(problems, traces)
    return joined.collect_batches(chunk_size=TEXT_ROWS, maintain_order=True, engine="streaming")


def _join(problems: pl.DataFrame, traces: pl.LazyFrame) -> pl.LazyFrame:
    joined = traces.join(problems.lazy(), on="problem_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("gold_answer").fill_null(""))


def grade_traces(
    grading: GradingParams,
    batches: Iterable[pl.DataFrame],
    progress: Callable[[Iterator[Any]], Iterator[Any]] = lambda items: items,
) -> dict[str, Verdict]:
    """Return the grader's verdict on every row of `trace_batches`, by trace_id."""
    with_gold: list[str] = []
    without_gold: list[str] = []

    def cases() -> Iterator[Case]:
        for batch in batches:
            for row in batch.iter_rows(named=True):
                if row["gold_answer"].strip():
                    with_gold.append(row["trace_id"])
                    answer = trace_text.answer_text(row)
                    yield Case("math", row["gold_answer"], answer, row["finish_reason"])
                else:
                    without_gold.append(row["trace_id"])

    verdicts = list(progress(grade_all(grading, cases())))
    no_gold = Verdict(NO_GOLD, None, NO_GOLD)
    return dict(zip(with_gold, verdicts, strict=True)) | dict.fromkeys(without_gold, no_gold)


def apply_recorded_verdicts(
    params: VerifyParams, rows: pl.DataFrame, graded: dict[str, Verdict]
) -> tuple[pl.DataFrame, Counts]:
    """Return a verdict for each trace, and counts of where the grader and recordings differ.

    A recorded verdict has no reason. Where one is required, it is "recorded".
    """
    verdicts = []
    differs: Counter[str] = Counter()
    num_recorded = 0
    for trace_id, recorded_outcome in rows.select("trace_id", "recorded_outcome").iter_rows():
        verdict = graded[trace_id]
        num_recorded += recorded_outcome is not None
        if recorded_outcome not in (None, verdict.outcome) and verdict.outcome != NO_GOLD:
            differs[f"{recorded_outcome}_graded_{verdict.outcome}"] += 1
        is_kept = recorded_outcome is not None and params.recorded == "keep"
        if is_kept and recorded_outcome != verdict.outcome:
            reason = None if recorded_outcome == "correct" else "recorded"
            verdict = Verdict(recorded_outcome, verdict.extracted, reason)
        decider = "source" if is_kept else "grader"
        verdicts.append({"trace_id": trace_id, **verdict._asdict(), "decided_by": decider})
    counts = {
        "recorded": num_recorded,
        "differs": differs.total(),
        **dict(sorted(differs.items())),
    }
    return frame_of(verdicts, VERDICT), {"recorded_verdicts": counts}


def summarize(grading: GradingParams, verdicts: pl.DataFrame) -> Counts:
    """Return counts by outcome, reason and decider; traces without a gold answer count apart.

    Raises InputError if too many of the others cannot be graded.
    """
    has_gold = verdicts.filter(pl.col("outcome") != NO_GOLD)
    rows = has_gold.select("outcome", "extracted", "reason").iter_rows()
    counts = count_verdicts([Verdict(*row) for row in rows])
    check_max_ungradable("verify", grading, counts)
    by_decider = Counter(has_gold["decided_by"])
    return counts | {
        NO_GOLD: verdicts.height - has_gold.height,
        "decided_by": {decider: by_decider[decider] for decider in DECIDERS},
    }
