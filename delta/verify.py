"""Correctness of traces: right, wrong, or not gradable (paper, section 3.1)."""

from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from delta.errors import InputError
from delta.graders.pool import Counts, VerifyParams, check_share, count, outcomes
from delta.records import VERDICT
from delta.tables import frame_of


def verify(
    params: VerifyParams,
    problems: pl.DataFrame,
    traces: pl.DataFrame,
    progress: Callable[[Iterator[Any]], Iterator[Any]] = lambda items: items,
) -> tuple[pl.DataFrame, Counts]:
    """Verdict rows, one for each trace, and counts by outcome and reason.

    Raises InputError where a trace's problem is missing, or where more than
    `verify.max_ungradable` of the traces cannot be graded.
    """
    joined = traces.join(problems, on="problem_id", how="left", maintain_order="left")
    if lost := joined.filter(pl.col("gold_answer").is_null()).height:
        raise InputError(f"{lost} traces belong to no problem; rebuild them with `dvc repro`")
    cases = joined.select("gold_answer", "text", "finish_reason").iter_rows()
    verdicts = list(progress(outcomes(params, cases)))
    rows = [
        {"trace_id": trace_id, **verdict._asdict()}
        for trace_id, verdict in zip(joined["trace_id"], verdicts, strict=True)
    ]
    counts = count(verdicts)
    check_share("verify", params, counts)
    return frame_of(rows, VERDICT), counts
