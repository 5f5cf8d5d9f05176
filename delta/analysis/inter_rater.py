"""Agreement of votes on the same traces: Krippendorff's alpha and the intraclass correlation."""

from typing import Literal

import numpy as np

from delta.analysis.votes import (
    Array,
    mean_votes,
    rounded_row,
    squared_deviations,
    vote_counts,
)
from delta.core.files import round4
from delta.core.types import Row

Level = Literal["ordinal", "interval"]


def inter_rater_rows(raters: str, matrices: dict[str, Array]) -> list[Row]:
    """Return the coefficients of each dimension."""
    return [
        {"raters": raters, "dimension": name} | coefficients(matrix)
        for name, matrix in matrices.items()
    ]


def coefficients(matrix: Array) -> Row:
    """Return the coefficients of `matrix`, trace x vote (or person), NaN where there is no vote.

    They are None with fewer than two votes a trace, and where all votes are equal.
    """
    counts = vote_counts(matrix)
    row = {
        "traces": int((counts > 0).sum()),
        "traces_with_two_votes": int((counts > 1).sum()),
        "votes": int(counts.sum()),
        "alpha_ordinal": round4(krippendorff_alpha(matrix, "ordinal")),
        "alpha_interval": round4(krippendorff_alpha(matrix, "interval")),
    }
    return row | rounded_row(("icc_one_vote", "icc_mean_of_votes", "votes_in_mean"), icc(matrix))


def krippendorff_alpha(matrix: Array, level: Level) -> float | None:
    """Return 1 - observed disagreement / disagreement of votes shuffled over all traces.

    By definition, traces with fewer than two votes are left out.
    """
    matrix = matrix[vote_counts(matrix) > 1]
    present = ~np.isnan(matrix)
    values = matrix[present]
    if len(values) == 0 or np.ptp(values) == 0:
        return None
    if level == "ordinal":
        # The ordinal distance of two values: the votes between them, and half of their own.
        _, codes, equal = np.unique(values, return_inverse=True, return_counts=True)
        matrix = np.full(matrix.shape, np.nan)
        matrix[present] = (np.cumsum(equal) - equal / 2)[codes]
    # Squared differences of all pairs are squared deviations from the mean, times their number.
    counts, total = vote_counts(matrix), len(values)
    within = (squared_deviations(matrix) * counts / (counts - 1)).sum()
    expected = np.nanvar(matrix) * total**2 / (total - 1)
    return 1 - float(within / expected)


def icc(matrix: Array) -> tuple[float | None, float | None, float | None]:
    """Return ICC(1,1) of single votes, ICC(1,k) of means of k votes, and k.

    They come from a one-way analysis of variance and may be negative. k is the number of votes a
    trace; where traces differ in it, the mean that the analysis of variance implies.
    """
    matrix = matrix[vote_counts(matrix) > 0]
    counts = vote_counts(matrix)
    total, traces = float(counts.sum()), len(counts)
    if traces < 2 or total <= traces:
        return None, None, None
    grand_mean = np.nansum(matrix) / total
    between = float((counts * (mean_votes(matrix) - grand_mean) ** 2).sum()) / (traces - 1)
    within = float(squared_deviations(matrix).sum()) / (total - traces)
    k = (total - float((counts**2).sum()) / total) / (traces - 1)
    variance = between + (k - 1) * within
    single = (between - within) / variance if variance > 0 else None
    mean = (between - within) / between if between > 0 else None
    return single, mean, k
