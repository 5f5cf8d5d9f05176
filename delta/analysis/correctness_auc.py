"""Does a higher vote mean a correct trace? The area under the curve (AUC), pooled and within."""

from typing import Any

import numpy as np
import polars as pl

from delta.analysis.votes import GRID, Array, Mask, Votes, mean_votes, round4
from delta.stats import rank_correlation
from delta.stats.mean_interval import mean_interval

Estimate = tuple[float | None, float | None, float | None]  # value, low, high


def rows(votes: Votes) -> list[dict[str, Any]]:
    """Two rows for each dimension. `pooled`: the chance that a correct trace has a higher mean
    vote than an incorrect one, a tie counting half. `within_problem`: the same between traces of
    one problem, averaged over the problems that have both, so that hard problems don't help.

    Ungradable traces are neither, and unrated ones have no vote: left out and counted.
    """
    outcome = votes.traces["outcome"].fill_null("no verdict").to_numpy()
    graded = np.isin(outcome, ("correct", "incorrect"))
    found = []
    for dimension, matrix in votes.matrices.items():
        score = np.round(mean_votes(matrix), GRID)
        used = graded & ~np.isnan(score)
        correct = outcome[used] == "correct"
        problem = votes.traces["problem_id"].filter(pl.Series(used)).to_list()
        each = aucs_by_problem(score[used], correct, problem)
        row = {
            "correct": int(correct.sum()),
            "incorrect": int((~correct).sum()),
            "not_graded": int((~graded).sum()),
            "unrated": int((graded & ~used).sum()),
        }
        for kind, estimate, problems in (
            ("pooled", pooled_auc(score[used], correct, problem), len(set(problem))),
            ("within_problem", _bounded(mean_interval(each)), len(each)),
        ):
            auc, low, high = (round4(value) for value in estimate)
            figures = {"auc": auc, "low": low, "high": high, "problems": problems}
            found.append({"dimension": dimension, "kind": kind} | figures | row)
    return found


def pooled_auc(score: Array, correct: Mask, problem: list[str]) -> Estimate:
    """AUC with a 95 % interval, problems being the unit of chance; None where a kind is missing."""
    found = rank_correlation.auc(score.tolist(), correct.tolist(), problem)
    return (None, None, None) if found is None else found


def aucs_by_problem(score: Array, correct: Mask, problem: list[str]) -> Array:
    """The AUC of every problem that has both correct and incorrect traces."""
    frame = pl.DataFrame({"problem": problem, "score": score, "correct": correct})
    ranked = frame.with_columns(rank=pl.col("score").rank("average").over("problem"))
    each = (
        ranked.group_by("problem", maintain_order=True)
        .agg(
            sum=pl.col("rank").filter("correct").sum(),
            right=pl.col("correct").sum().cast(pl.Float64),
            wrong=pl.col("correct").not_().sum().cast(pl.Float64),
        )
        .filter((pl.col("right") > 0) & (pl.col("wrong") > 0))
    )
    right, wrong = pl.col("right"), pl.col("wrong")
    # Mann and Whitney's U: the correct traces' ranks, less those they have among themselves.
    return each.select((pl.col("sum") - right * (right + 1) / 2) / (right * wrong)).to_numpy()[:, 0]


def _bounded(estimate: Estimate) -> Estimate:
    value, low, high = estimate
    return value, None if low is None else max(0.0, low), None if high is None else min(1.0, high)
