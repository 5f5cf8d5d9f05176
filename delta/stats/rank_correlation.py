"""Rank correlation: Spearman's for two orders, and the AUC for correct against incorrect traces."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from delta.stats.intervals import Z95, Interval, wilson

Array = NDArray[np.float64]
MAX_EXACT = 8  # points up to which p is exact: 40,320 orders
MIN_INTERVAL = 10  # with fewer points the interval says nothing


class Correlation(NamedTuple):
    value: float
    low: float | None  # None with fewer than MIN_INTERVAL points, and where the value is -1 or 1
    high: float | None
    p: float | None  # two-sided; None with fewer than 3 points


def spearman(first: Sequence[float] | Array, second: Sequence[float] | Array) -> Correlation | None:
    """Return Spearman's rank correlation; None where a side is constant.

    p is exact with few points (over all orders of one side), else by Student's t. The interval is
    Fisher's with Bonett and Wright's (2000) error.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} values and {len(second)}; expected as many in both")
    sides = [np.asarray(side, dtype=np.float64) for side in (first, second)]
    if any(np.isnan(side).any() for side in sides):
        raise ValueError("a value is NaN, which has no rank")
    if any((side == side[:1]).all() for side in sides):
        return None
    value, p = map(float, stats.spearmanr(*sides))
    n = len(first)
    return Correlation(value, *_bounds(value, n), _exact_p(*sides) if n <= MAX_EXACT else p)


def _bounds(value: float, n: int) -> tuple[float | None, float | None]:
    if n < MIN_INTERVAL or abs(value) > 1 - 1e-9:
        return None, None
    half_width = Z95 * math.sqrt((1 + value**2 / 2) / (n - 3))
    return math.tanh(math.atanh(value) - half_width), math.tanh(math.atanh(value) + half_width)


def _exact_p(first: Array, second: Array) -> float | None:
    """Return the proportion of orders whose correlation is at least as far from 0."""
    if len(first) < 3:
        return None
    first, second = (ranks - ranks.mean() for ranks in map(stats.rankdata, (first, second)))
    test = stats.permutation_test(
        (first,),
        lambda orders, axis: np.abs(orders @ second),  # noqa: ARG005 - the test's signature
        permutation_type="pairings",
        alternative="greater",
        n_resamples=np.inf,
        vectorized=True,
    )
    return float(test.pvalue)


def auc(
    ratings: Sequence[float], is_correct: Sequence[bool], problems: Sequence[str]
) -> Interval | None:
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
        return None
    placement = np.where(
        correct, _placement(rated, rated[~correct]), 1 - _placement(rated, rated[correct])
    )
    value = float(placement[correct].mean())
    _, cluster = np.unique(np.asarray(problems), return_inverse=True)
    variance, trials = _clustered_variance(placement - value, correct, cluster)
    # Where all placements are equal their variance says nothing: each problem is one trial.
    if variance > 1e-12:
        trials = min(value * (1 - value) / variance, len(rated))
    return wilson(value, trials)


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
