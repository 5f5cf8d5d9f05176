"""Votes against correctness: the area under the ROC curve (AUC)."""

import numpy as np
import polars as pl

from delta.analysis.votes import Array, Mask, Votes, mean_votes, rounded_row
from delta.core.types import Row
from delta.judging.ratings import DECIMALS
from delta.stats.intervals import mean_interval
from delta.stats.rank_correlation import auc


def auc_rows(votes: Votes) -> list[Row]:
    """Return two AUCs with 95% intervals for each dimension.

    pooled: the chance that a correct trace has a higher mean vote than an incorrect one; a tie
    counts half. within_problem: the same among traces of one problem, averaged over the problems
    that have both, so that a problem's difficulty has no effect. Ungradable and unrated traces are
    left out and counted.
    """
    outcome = votes.traces["outcome"].fill_null("no verdict").to_numpy()
    graded = np.isin(outcome, ("correct", "incorrect"))
    table = []
    for dimension, matrix in votes.matrices.items():
        score = np.round(mean_votes(matrix), DECIMALS)
        used = graded & ~np.isnan(score)
        correct = outcome[used] == "correct"
        problem = votes.traces["problem_id"].filter(pl.Series(used)).to_list()
        by_problem = aucs_by_problem(score[used], correct, problem)
        counts = {
            "correct": int(correct.sum()),
            "incorrect": int((~correct).sum()),
            "not_graded": int((~graded).sum()),
            "unrated": int((graded & ~used).sum()),
        }
        for kind, estimate, problems in (
            ("pooled", auc(score[used], correct, problem), len(set(problem))),
            ("within_problem", mean_interval(by_problem, 0, 1), len(by_problem)),
        ):
            row: Row = {"dimension": dimension, "kind": kind}
            row |= rounded_row(("auc", "low", "high"), estimate)
            table.append(row | {"problems": problems} | counts)
    return table


def aucs_by_problem(score: Array, correct: Mask, problem: list[str]) -> Array:
    """Return the AUC of every problem that has both correct and incorrect traces."""
    frame = pl.DataFrame({"problem": problem, "score": score, "correct": correct})
    ranked = frame.with_columns(rank=pl.col("score").rank("average").over("problem"))
    num_correct = pl.col("correct").sum().cast(pl.Float64)
    num_incorrect = pl.col("correct").not_().sum().cast(pl.Float64)
    # Mann and Whitney's U: the correct traces' ranks, less those they have among themselves.
    u = pl.col("rank").filter("correct").sum() - num_correct * (num_correct + 1) / 2
    aucs = ranked.group_by("problem", maintain_order=True).agg(
        auc=u / (num_correct * num_incorrect)
    )
    return aucs["auc"].drop_nans().to_numpy()
