"""How far votes on the same traces agree: Krippendorff's alpha and the intraclass correlation."""

from typing import Any, Literal

import numpy as np

from delta.analysis.votes import Array, mean_votes, round4, squared_deviations, vote_counts

Level = Literal["ordinal", "interval"]


def rows(matrices: dict[str, Array]) -> list[dict[str, Any]]:
    """A row for each dimension. None for what fewer than two votes, or equal ones, cannot tell."""
    return [{"dimension": name} | coefficients(matrix) for name, matrix in matrices.items()]


def coefficients(matrix: Array) -> dict[str, Any]:
    """`matrix`: trace × vote (or rater), NaN where there is none."""
    number = vote_counts(matrix)
    one, many, size = icc(matrix)
    return {
        "traces": int((number > 0).sum()),
        "traces_with_two_votes": int((number > 1).sum()),
        "votes": int(number.sum()),
        "alpha_ordinal": round4(krippendorff_alpha(matrix, "ordinal")),
        "alpha_interval": round4(krippendorff_alpha(matrix, "interval")),
        "icc_one_vote": round4(one),
        "icc_mean_of_votes": round4(many),
        "votes_in_mean": round4(size),
    }


def krippendorff_alpha(matrix: Array, level: Level) -> float | None:
    """Krippendorff's alpha: 1 − observed disagreement / that of votes shuffled over all traces.

    Rows with fewer than two votes say nothing of agreement and stay out, as he defines it.
    """
    matrix = matrix[vote_counts(matrix) > 1]
    values, codes = np.unique(matrix[~np.isnan(matrix)], return_inverse=True)
    if len(values) < 2:
        return None
    row, _ = np.nonzero(~np.isnan(matrix))
    size = len(values)
    held = np.bincount(row * size + codes, minlength=len(matrix) * size).reshape(-1, size)
    weight = 1 / (held.sum(axis=1) - 1)
    coincidences = (held * weight[:, None]).T @ held - np.diag(weight @ held)
    total = held.sum(axis=0).astype(np.float64)
    apart = _ordinal(total) if level == "ordinal" else (values[:, None] - values[None, :]) ** 2
    expected = total @ apart @ total / (total.sum() - 1)
    return 1 - float((coincidences * apart).sum() / expected)


def _ordinal(total: Array) -> Array:
    """Squared distance of two values: how many votes lie between them, half of their own too."""
    middle = np.cumsum(total) - total / 2
    distance: Array = (middle[:, None] - middle[None, :]) ** 2
    return distance


def icc(matrix: Array) -> tuple[float | None, float | None, float | None]:
    """ICC(1,1), ICC(1,k) and k, by the one-way analysis of variance for unequal numbers of votes.

    Of any one vote, and of the mean of k votes; k is the traces' number of votes where that is
    the same, else the usual mean of them that the analysis of variance implies. Not clipped at 0.
    """
    number = vote_counts(matrix)
    matrix, number = matrix[number > 0], number[number > 0]
    total, groups = float(number.sum()), len(number)
    if groups < 2 or total <= groups:
        return None, None, None
    grand = np.nansum(matrix) / total
    between = float((number * (mean_votes(matrix) - grand) ** 2).sum()) / (groups - 1)
    within = float(squared_deviations(matrix).sum()) / (total - groups)
    size = (total - float((number**2).sum()) / total) / (groups - 1)
    spread = between + (size - 1) * within
    one = (between - within) / spread if spread > 0 else None
    many = (between - within) / between if between > 0 else None
    return one, many, size
