"""The traces that a judge's budget covers."""

from typing import Annotated

import polars as pl
from pydantic import Field

from delta.core.params import StrictModel
from delta.judging.trace_order import (
    RequireComplete,
    TraceOrder,
    build_pool,
    first_n_per_problem,
)

NumTraces = Annotated[int, Field(ge=0)]


class Budget(StrictModel):
    """The number of a problem's first traces to rate, by outcome. They may overlap."""

    any: NumTraces | None  # of any outcome; null: all traces
    correct: NumTraces
    incorrect: NumTraces


def within_budget(
    traces: pl.LazyFrame,
    verdicts: pl.DataFrame,
    budget: Budget,
    seed: int,
    order: TraceOrder,
    require_complete: RequireComplete,
) -> pl.LazyFrame:
    """Return the rows of one generator's `traces` that a judge rates, in their order.

    `seed`, `order` and `require_complete` are the pairing's. The judge does not know on which side
    of a pair the generator will be, so with "chosen" it rates the first traces for both sides.
    """
    pool = build_pool(traces, verdicts, seed, order)
    choices = {"none": [False], "chosen": [False, True], "both": [True]}[require_complete]
    rated = pl.concat(
        first_n_per_problem(pool, outcome, must_be_complete, number)["trace_id"]
        for outcome, number in budget.model_dump().items()
        for must_be_complete in choices
    )
    return traces.filter(pl.col("trace_id").is_in(rated.unique().implode()))


def is_sufficient(budget: Budget, required: Budget, samples: int | None) -> bool:
    """Return whether `budget` covers the `required` ratings of a generator with `samples`.

    samples=None: unknown, as for a recording.
    """
    if budget.any is None or (samples is not None and budget.any >= samples):
        return True
    return required.any is not None and (
        budget.any >= required.any
        and budget.correct >= required.correct
        and budget.incorrect >= required.incorrect
    )
