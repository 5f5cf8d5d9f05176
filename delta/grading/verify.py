"""Correctness of traces: right, wrong, not gradable, or without a gold answer (section 3.1).

Math-Verify first. A recording may bring verdicts of its own, which can be kept; and a model may
be asked about what Math-Verify did not accept (delta.grading.llm_equivalence).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import polars as pl

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.schemas import DECIDERS, NO_GOLD, VERDICT
from delta.core.tables import TEXT_ROWS, frame_of
from delta.core.types import Counts
from delta.grading.grade_all import outcomes
from delta.grading.llm_equivalence import ComparisonParams
from delta.grading.verdict import Verdict
from delta.grading.worker_pool import Case, GradingParams, check_share, count
from delta.inference import trace_text

WITHOUT_GOLD = Verdict(NO_GOLD, None, NO_GOLD)


class VerifyParams(StrictModel):
    recorded: Literal["keep", "grade"]  # whether a verdict that a recording brings counts
    second: Literal["none", "llm"]  # who is asked about what the grader did not accept
    llm: ComparisonParams  # read where second is "llm"


def with_problems(problems: pl.DataFrame, traces: pl.DataFrame) -> pl.DataFrame:
    """Traces, each with its problem's columns. InputError where a problem is missing."""
    joined = _joined(problems, traces.lazy()).collect()
    if lost := joined.filter(pl.col("statement").is_null()).height:
        raise InputError(f"{lost} traces belong to no problem; rebuild them with `dvc repro`")
    return joined


def batches(problems: pl.DataFrame, traces: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The rows of `with_problems` in their order, few at a time: their text has gigabytes."""
    joined = _joined(problems, traces)
    return joined.collect_batches(chunk_size=TEXT_ROWS, maintain_order=True, engine="streaming")


def _joined(problems: pl.DataFrame, traces: pl.LazyFrame) -> pl.LazyFrame:
    joined = traces.join(problems.lazy(), on="problem_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col("gold_answer").fill_null(""))


def grade(
    grading: GradingParams,
    rows: Iterable[pl.DataFrame],
    progress: Callable[[Iterator[Any]], Iterator[Any]] = lambda items: items,
) -> dict[str, Verdict]:
    """The grader's verdict on every row of `batches`, by trace_id."""
    given: list[str] = []
    without: list[str] = []

    def cases() -> Iterator[Case]:
        for row in (row for batch in rows for row in batch.iter_rows(named=True)):
            if row["gold_answer"].strip():
                given.append(row["trace_id"])
                answer = trace_text.answer_text(row)
                yield Case("math", row["gold_answer"], answer, row["finish_reason"])
            else:
                without.append(row["trace_id"])

    verdicts = list(progress(outcomes(grading, cases())))
    return dict(zip(given, verdicts, strict=True)) | dict.fromkeys(without, WITHOUT_GOLD)


def decide(
    params: VerifyParams, rows: pl.DataFrame, graded: dict[str, Verdict]
) -> tuple[pl.DataFrame, Counts]:
    """Verdict rows, one for each trace, and how the grader agrees with what recordings say.

    A recorded verdict that is kept brings no reason; "recorded" stands where there must be one.
    """
    verdicts = []
    differs: Counter[str] = Counter()
    recorded = 0
    for trace_id, told in rows.select("trace_id", "recorded_outcome").iter_rows():
        ours = graded[trace_id]
        recorded += told is not None
        if told not in (None, ours.outcome) and ours.outcome != NO_GOLD:
            differs[f"{told}_graded_{ours.outcome}"] += 1
        kept = told is not None and params.recorded == "keep"
        if kept and told != ours.outcome:
            ours = Verdict(told, ours.extracted, None if told == "correct" else "recorded")
        by = "source" if kept else "grader"
        verdicts.append({"trace_id": trace_id, **ours._asdict(), "decided_by": by})
    counts = {"recorded": recorded, "differs": differs.total(), **dict(sorted(differs.items()))}
    return frame_of(verdicts, VERDICT), {"recorded_verdicts": counts}


def summarize(grading: GradingParams, verdicts: pl.DataFrame) -> Counts:
    """Return counts by outcome, reason and decider; traces without a gold answer stand apart.

    Raises InputError where too many of the others cannot be graded.
    """
    has_gold = verdicts.filter(pl.col("outcome") != NO_GOLD)
    rows = has_gold.select("outcome", "extracted", "reason").iter_rows()
    counts = count([Verdict(*row) for row in rows])
    check_share("verify", grading, counts)
    by = Counter(has_gold["decided_by"])
    decided = {decider: by[decider] for decider in DECIDERS}
    return counts | {NO_GOLD: verdicts.height - has_gold.height, "decided_by": decided}
