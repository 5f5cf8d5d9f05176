"""The order of a problem's traces, and its first ones with an outcome.

The stages `pair` and `judge` share this order: the traces that are paired first are rated first.
"""

from typing import Literal

import polars as pl

from delta.core.errors import InputError
from delta.core.shuffle import shuffle_keys

TraceOrder = Literal["random", "sequential"]  # by a seeded hash, or by sample number
RequireComplete = Literal["none", "chosen", "both"]  # sides that must be complete

# Texts are compared by length and hash. The hash is only comparable within a process.
TEXT_COLUMNS = (
    pl.col("text").str.len_chars().cast(pl.Int64).alias("length"),
    pl.col("text").hash().alias("text_hash"),
)
SAME_TEXT = ["problem_id", "length", "text_hash"]
IS_COMPLETE = pl.col("finish_reason").eq("stop") & pl.col("answer_start").is_not_null()


def build_pool(
    traces: pl.LazyFrame, verdicts: pl.DataFrame, seed: int, order: TraceOrder
) -> pl.DataFrame:
    """Return a row for each trace: all that the choice of traces needs, without the text.

    The columns are its ids, `sample`, `source_row`, `outcome`, `is_complete`, `length`, `text_hash`
    and `order`, the sort key. `traces` is lazy, because texts are by far the largest column. Raises
    InputError if a trace has no verdict.
    """
    pool = traces.select(
        "problem_id",
        "trace_id",
        "sample",
        "source_row",
        IS_COMPLETE.fill_null(value=False).alias("is_complete"),
        *TEXT_COLUMNS,
    ).collect(engine="streaming")
    pool = pool.join(verdicts.select("trace_id", "outcome"), on="trace_id", how="left")
    without_verdict = pool.filter(pl.col("outcome").is_null())
    if without_verdict.height:
        raise InputError(
            f"trace {without_verdict['trace_id'].min()!r} has no verdict, nor have "
            f"{without_verdict.height - 1} others; rebuild the verdicts with `dvc repro`"
        )
    if order == "sequential":
        return pool.with_columns(order=pl.col("sample"))
    return pool.with_columns(order=shuffle_keys(seed, each=pool["trace_id"]))


def eligible_traces(pool: pl.DataFrame, outcome: str, must_be_complete: bool) -> pl.DataFrame:
    """Return the traces with `outcome` (or "any") and, on request, only the complete ones."""
    if outcome != "any":
        pool = pool.filter(pl.col("outcome") == outcome)
    return pool.filter("is_complete") if must_be_complete else pool


def first_n_per_problem(
    pool: pl.DataFrame, outcome: str, must_be_complete: bool, number: int | None
) -> pl.DataFrame:
    """Return each problem's first `number` eligible traces (None: all), with their `place` from 0.

    Of equal texts only the first counts, because small models often repeat themselves.
    """
    numbered = (
        eligible_traces(pool, outcome, must_be_complete)
        .sort("problem_id", "order")
        .unique(SAME_TEXT, keep="first", maintain_order=True)
        .with_columns(place=pl.col("problem_id").cum_count().over("problem_id").cast(pl.Int64) - 1)
    )
    return numbered if number is None else numbered.filter(pl.col("place") < number)


def replace_repeated_texts(pool: pl.DataFrame) -> pl.DataFrame:
    """Replace each trace by the first one with the same text, which is the one that is rated."""
    first = pl.col("trace_id", "outcome").sort_by("order").first()
    return pool.with_columns(first.over(SAME_TEXT))
