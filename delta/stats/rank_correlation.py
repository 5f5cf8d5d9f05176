"""Rank correlation: Spearman's for two orders, and the AUC for correct against incorrect traces."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from delta.stats.intervals import NO_INTERVAL, Z95, OptionalInterval, wilson

Array = NDArray[np.float64]
MIN_INTERVAL = 10  # with fewer points the interval says nothing


def spearman(first: Sequence[float] | Array, second: Sequence[float] | Array) -> OptionalInterval:
    """Return Spearman's rank correlation with its 95% interval; None where a side is constant.

    The interval is Fisher's with Bonett and Wright's (2000) error. It is None with fewer than
    MIN_INTERVAL points, and where the value is -1 or 1.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} values and {len(second)}; expected as many in both")
    sides = [np.asarray(side, dtype=np.float64) for side in (first, second)]
    if any(np.isnan(side).any() for side in sides):
        raise ValueError("a value is NaN, which has no rank")
    if any((side == side[:1]).all() for side in sides):
        return NO_INTERVAL
    value = float(stats.spearmanr(*sides).statistic)
    n = len(first)
    if n < MIN_INTERVAL or abs(value) > 1 - 1e-9:
        return OptionalInterval(value, None, None)
    centre, half_width = math.atanh(value), Z95 * math.sqrt((1 + value**2 / 2) / (n - 3))
    return OptionalInterval(value, math.tanh(centre - half_width), math.tanh(centre + half_width))


def auc(
    ratings: Sequence[float] | Array,
    is_correct: Sequence[bool] | NDArray[np.bool_],
    problems: Sequence[str],
) -> OptionalInterval:
    """Return the chance that a correct trace is rated above an incorrect one; a tie counts half.

    None where all traces are correct, or none is. Traces of one problem are correlated, so the
    variance is that of problems' placement values (Obuchowski 1997). The 95% interval is Wilson's
    for the effective number of independent trials.
    """
    rated, correct = np.asarray(ratings, dtype=np.float64), np.asarray(is_correct, dtype=bool)
    if not len(rated) == len(correct) == len(problems):
        raise ValueError(f"{len(rated)} ratings, {len(correct)} outcomes, {len(problems)} problems")
    if np.isnan(rated).any():
        raise ValueError("a rating is NaN; traces without one are left out")
    if correct.all() or not correct.any():
        return NO_INTERVAL
    placement = np.where(
        correct, _placement(rated, rated[~correct]), 1 - _placement(rated, rated[correct])
    )
    value = float(placement[correct].mean())
    _, cluster = np.unique(np.asarray(problems), return_inverse=True)
    variance, trials = _clustered_variance(placement - value, correct, cluster)
    # Where all placements are equal their variance says nothing: each problem is one trial.
    if variance > 1e-12:
        trials = min(value * (1 - value) / variance, len(rated))
    return OptionalInterval(*wilson(value, trials))


def _placement(rated: Array, others: Array) -> Array:
    """Return for each rating the proportion of `others` below it; a tie counts half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, rated, side="left")
    not_above = np.searchsorted(ordered, rated, side="right")
    return np.asarray((below + not_above) / (2 * ordered.size))


def _clustered_variance(
    deviation: Array, is_correct: NDArray[np.bool_], cluster: NDArray[np.intp]
) -> tuple[float, float]:
    """Return the AUC's variance, and the number of problems with the rarer outcome."""

    def small_sample_factor(clusters: int) -> float:
        return clusters / (clusters - 1) if clusters > 1 else 1.0

    sums, num_problems = [], []
    for mask in (is_correct, ~is_correct):
        sums.append(np.bincount(cluster, weights=deviation * mask) / mask.sum())
        num_problems.append(int(np.count_nonzero(np.bincount(cluster, weights=mask))))
    correct, incorrect = sums
    variance = (
        small_sample_factor(num_problems[0]) * float(correct @ correct)
        + small_sample_factor(num_problems[1]) * float(incorrect @ incorrect)
        + 2 * small_sample_factor(len(correct)) * float(correct @ incorrect)
    )
    return variance, min(num_problems)
