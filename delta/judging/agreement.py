"""How far two judges agree on the same traces. The paper's judge was never checked by another."""

from typing import Any

import polars as pl

from delta.judging.rubric import DIMENSIONS, HIGHEST, LOWEST
from delta.stats.rank_correlation import spearman

SCORES = range(LOWEST, HIGHEST + 1)


def agreement(first: pl.DataFrame, second: pl.DataFrame) -> dict[str, Any]:
    """For each dimension, over the traces that both have rated (tables of schemas.RATING):

    exact, within_one: the chance that a vote of the one and a vote of the other are equal, or at
    most one apart; mean_difference: |mean vote − mean vote|; spearman: of the mean votes, None
    where it is not defined. Every trace weighs the same. None for what rests on no trace.
    """
    both = first.join(second, on=["trace_id", "dimension"], how="inner", suffix="_second")
    return {
        dimension: _of(both.filter(pl.col("dimension") == dimension)) for dimension in DIMENSIONS
    }


def _of(both: pl.DataFrame) -> dict[str, Any]:
    rated = both.filter(pl.col("votes").list.len() > 0, pl.col("votes_second").list.len() > 0)
    means = rated.select(pl.col("votes", "votes_second").list.mean())
    figures = rated.select(
        exact=_share(0),
        within_one=_share(1),
        mean_difference=(pl.col("votes").list.mean() - pl.col("votes_second").list.mean()).abs(),
    ).mean()
    return {
        "traces": rated.height,
        "unrated": both.height - rated.height,
        **{name: value and round(value, 4) for name, value in figures.row(0, named=True).items()},
        "spearman": _spearman(means.rows()),
    }


def _share(apart: int) -> pl.Expr:
    """Of all votes of the one with all of the other, the share that is at most so far apart."""
    near = [
        pl.col("votes").list.count_matches(ours) * pl.col("votes_second").list.count_matches(theirs)
        for ours in SCORES
        for theirs in SCORES
        if abs(ours - theirs) <= apart
    ]
    return pl.sum_horizontal(near) / (
        pl.col("votes").list.len() * pl.col("votes_second").list.len()
    )


def _spearman(means: list[tuple[float, float]]) -> float | None:
    """Correlation of ranks, ties at their middle; None where a side is constant."""
    found = spearman([ours for ours, _ in means], [theirs for _, theirs in means])
    return None if found is None else round(found.value, 4)
