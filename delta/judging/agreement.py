"""Agreement of two judges on the same traces. The paper has only one judge."""

from typing import Any

import polars as pl

from delta.core.files import round4
from delta.judging.rubric import DIMENSIONS, SCORES
from delta.stats.rank_correlation import spearman


def judge_agreement(first: pl.DataFrame, second: pl.DataFrame) -> dict[str, Any]:
    """Compare two rating tables by dimension, over the traces that both judges rated.

    `exact` and `within_one`: the probability that two votes, one of each judge, are equal, or
    differ by at most 1, as whole numbers: expected scores are rounded. `mean_difference`: the mean
    absolute difference of the mean votes.
    `spearman`: the correlation of the mean votes. All traces have equal weight. None: not defined.
    """
    both = first.join(second, on=["trace_id", "dimension"], how="inner", suffix="_second")
    return {
        dimension: _compare(both.filter(pl.col("dimension") == dimension))
        for dimension in DIMENSIONS
    }


def _compare(both: pl.DataFrame) -> dict[str, Any]:
    rated = both.filter(pl.col("votes").list.len() > 0, pl.col("votes_second").list.len() > 0)
    means = rated.select(pl.col("votes", "votes_second").list.mean())
    figures = {
        "exact": rated.select(_fraction_within(0).mean()).item(),
        "within_one": rated.select(_fraction_within(1).mean()).item(),
        "mean_difference": (means["votes"] - means["votes_second"]).abs().mean(),
    }
    figures["spearman"] = spearman(*means.to_numpy().T).value
    rounded = {name: round4(value) for name, value in figures.items()}
    return {"traces": rated.height, "unrated": both.height - rated.height, **rounded}


def _fraction_within(distance: int) -> pl.Expr:
    """Return the fraction of vote pairs, one vote of each judge, at most `distance` apart."""
    matches = [
        _count("votes", a) * _count("votes_second", b)
        for a in SCORES
        for b in SCORES
        if abs(a - b) <= distance
    ]
    num_pairs = pl.col("votes").list.len() * pl.col("votes_second").list.len()
    return pl.sum_horizontal(matches) / num_pairs


def _count(column: str, value: int) -> pl.Expr:
    """Return how many votes of each list are `value`, once rounded."""
    return pl.col(column).list.eval(pl.element().round()).list.count_matches(float(value))
