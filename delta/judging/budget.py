"""In which order a problem's traces are drawn, and which of them a judge's budget covers.

`pair` and `judge` share this order: what the one pairs first, the other rates first.
"""

from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.shuffle import shuffle_keys

Draw = Literal["random", "first"]  # by a seeded hash, or by sample number
Complete = Literal["any", "chosen", "both"]  # which side of a pair must have finished
Number = Annotated[int, Field(ge=0)]

# Only lengths and equality are asked of a text. The hash is compared within one run and never
# ordered by, so it need not be the same elsewhere.
OF_THE_TEXT = (
    pl.col("text").str.len_chars().cast(pl.Int64).alias("length"),
    pl.col("text").hash().alias("text_hash"),
)
FINISHED = pl.col("finish_reason").eq("stop") & pl.col("answer_start").is_not_null()


class Budget(StrictModel):
    """How many of a problem's traces a judge rates. One trace may count under several keys."""

    drawn: Number | None  # the first so many, whatever their outcome; null: all
    correct: Number  # the first so many correct ones
    incorrect: Number


def draw_pool(traces: pl.LazyFrame, verdicts: pl.DataFrame, seed: int, draw: Draw) -> pl.DataFrame:
    """Each trace's ids, `outcome`, whether it `finished`, its `draw` key, `length`, `text_hash` and
    `source_row`.

    Lazy, because the text is by far the most of it. InputError where a trace has no verdict.
    """
    rows = traces.select(
        "problem_id",
        "trace_id",
        "sample",
        "source_row",
        FINISHED.fill_null(value=False).alias("finished"),
        *OF_THE_TEXT,
    ).collect(engine="streaming")
    rows = rows.join(verdicts.select("trace_id", "outcome"), on="trace_id", how="left")
    unjudged = rows.filter(pl.col("outcome").is_null())
    if unjudged.height:
        raise InputError(
            f"trace {unjudged['trace_id'].min()!r} has no verdict, nor have "
            f"{unjudged.height - 1} others; rebuild the verdicts with `dvc repro`"
        )
    if draw == "first":
        return rows.with_columns(draw=pl.col("sample"))
    return rows.with_columns(draw=shuffle_keys(seed, each=rows["trace_id"]))


def eligible(rows: pl.DataFrame, outcome: str, finished: bool) -> pl.DataFrame:
    """Those of `drawable` that have `outcome` (or "any") and, if asked for, have finished."""
    if outcome != "any":
        rows = rows.filter(pl.col("outcome") == outcome)
    return rows.filter("finished") if finished else rows


def first_n_per_problem(
    rows: pl.DataFrame, outcome: str, finished: bool, number: int | None
) -> pl.DataFrame:
    """Of each problem the first `number` (None: all) that qualify, numbered from 0 by `turn`.

    Of equal texts only the first counts: small models say the same again and again.
    """
    numbered = (
        eligible(rows, outcome, finished)
        .sort("problem_id", "draw")
        .unique(["problem_id", "length", "text_hash"], keep="first", maintain_order=True)
        .with_columns(turn=pl.col("problem_id").cum_count().over("problem_id").cast(pl.Int64) - 1)
    )
    return numbered if number is None else numbered.filter(pl.col("turn") < number)


def first_of_equals(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, each as the first in draw order whose text is equal to its own: the rated one."""
    equal = ["problem_id", "length", "text_hash"]
    return rows.with_columns(
        pl.col("trace_id", "outcome").sort_by("draw").first().over(equal),
    )


def within_budget(
    traces: pl.LazyFrame,
    verdicts: pl.DataFrame,
    budget: Budget,
    seed: int,
    draw: Draw,
    complete: Complete,
) -> pl.LazyFrame:
    """The rows of one generator's `traces` that a judge rates, in their order.

    `seed`, `draw` and `complete` are those of the pairing. A judge does not know on which side of
    a pair the generator will stand, so with "chosen" it rates the first traces of both kinds.
    """
    rows = draw_pool(traces, verdicts, seed, draw)
    kinds = {"any": [False], "chosen": [False, True], "both": [True]}[complete]
    numbers = {"any": budget.drawn, "correct": budget.correct, "incorrect": budget.incorrect}
    rated = pl.concat(
        first_n_per_problem(rows, outcome, finished, number)["trace_id"]
        for outcome, number in numbers.items()
        for finished in kinds
    )
    return traces.filter(pl.col("trace_id").is_in(rated.unique().implode()))


def is_sufficient(budget: Budget, need: Budget, samples: int | None) -> bool:
    """Whether ratings within `budget` are enough for `need`, of a generator with `samples`.

    None: nobody knows how many traces of a problem a recording has.
    """
    if budget.drawn is None or (samples is not None and budget.drawn >= samples):
        return True
    return need.drawn is not None and (
        budget.drawn >= need.drawn
        and budget.correct >= need.correct
        and budget.incorrect >= need.incorrect
    )
