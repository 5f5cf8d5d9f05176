"""Do two orders agree: Spearman's correlation, and AUC for right against wrong."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy import stats as scipy_stats

from delta.stats.intervals import Z95, Interval, wilson

EXACT = 8  # up to so many points all their orders are tried: 40,320
FEW = 10  # with fewer points the interval says nothing


class Correlation(NamedTuple):
    value: float
    low: float | None  # None with fewer than FEW points, and where the value is -1 or 1
    high: float | None
    p: float | None  # two-sided; None with fewer than 3 points


def spearman(
    first: Sequence[float] | NDArray[np.float64], second: Sequence[float] | NDArray[np.float64]
) -> Correlation | None:
    """Correlation of ranks, ties at their middle; None where a side is constant.

    p is exact with few points (all orders of one side), else by Student's t. The interval is
    Fisher's with Bonett and Wright's (2000) error.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} values and {len(second)}; allowed: as many in both")
    sides = [np.asarray(side, dtype=np.float64) for side in (first, second)]
    if any(np.isnan(side).any() for side in sides):
        raise ValueError("a value is NaN, which has no rank")
    if any((side == side[:1]).all() for side in sides):
        return None
    ours, theirs = (_standard(scipy_stats.rankdata(side)) for side in sides)
    value = max(-1.0, min(1.0, float(ours @ theirs)))
    low, high = _bounds(value, len(first))
    return Correlation(value, low, high, _p(value, ours, theirs))


def _standard(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = ranks - ranks.mean()
    return np.asarray(centred / math.sqrt(float(centred @ centred)))


def _bounds(value: float, n: int) -> tuple[float | None, float | None]:
    if n < FEW or abs(value) > 1 - 1e-9:
        return None, None
    half = Z95 * math.sqrt((1 + value**2 / 2) / (n - 3))
    return math.tanh(math.atanh(value) - half), math.tanh(math.atanh(value) + half)


def _p(value: float, ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float | None:
    n = ours.size
    if n < 3:
        return None
    if n <= EXACT:
        orders = np.array(list(itertools.permutations(range(n))))
        as_far = np.abs(theirs[orders] @ ours) >= abs(value) - 1e-9
        return float(as_far.mean())
    if abs(value) > 1 - 1e-9:
        return 0.0
    t = value * math.sqrt((n - 2) / (1 - value**2))
    return 2 * float(special.stdtr(n - 2, -abs(t)))


def auc(
    ratings: Sequence[float], is_right: Sequence[bool], problems: Sequence[str]
) -> Interval | None:
    """The chance that a right trace is rated above a wrong one, a tie counting half.

    None without a right one or without a wrong one. Traces of one problem hang together: the
    variance is that of problems' placement values (Obuchowski 1997), the 95 % interval Wilson's
    for the number of independent trials that would vary as much.
    """
    rated, right = np.asarray(ratings, dtype=np.float64), np.asarray(is_right, dtype=bool)
    if not len(rated) == len(right) == len(problems):
        raise ValueError(f"{len(rated)} ratings, {len(right)} outcomes, {len(problems)} problems")
    if np.isnan(rated).any():
        raise ValueError("a rating is NaN; traces without one are left out")
    if right.all() or not right.any():
        return None
    above = np.where(right, _placement(rated, rated[~right]), 1 - _placement(rated, rated[right]))
    value = float(above[right].mean())
    numbers = {problem: number for number, problem in enumerate(dict.fromkeys(problems))}
    places = np.array([numbers[problem] for problem in problems])
    variance, fewest = _clustered(above - value, right, places)
    # Where all placements agree the spread says nothing; problems count as one trial each.
    if variance <= 1e-12:
        return wilson(value, fewest)
    return wilson(value, min(value * (1 - value) / variance, len(rated)))


def _placement(rated: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each rating the share of `others` below it, ties half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, rated, side="left")
    not_above = np.searchsorted(ordered, rated, side="right")
    return np.asarray((below + not_above) / (2 * ordered.size))


def _clustered(
    apart: NDArray[np.float64], right: NDArray[np.bool_], places: NDArray[np.intp]
) -> tuple[float, int]:
    """Variance of the AUC; and the problems with a right trace or with a wrong one, the fewer."""
    num = int(places.max()) + 1
    ours = np.bincount(places, weights=apart * right, minlength=num) / right.sum()
    theirs = np.bincount(places, weights=apart * ~right, minlength=num) / (~right).sum()
    with_right = int((np.bincount(places, weights=right, minlength=num) > 0).sum())
    with_wrong = int((np.bincount(places, weights=~right, minlength=num) > 0).sum())
    variance = (
        _corrected(with_right) * float(ours @ ours)
        + _corrected(with_wrong) * float(theirs @ theirs)
        + 2 * _corrected(num) * float(ours @ theirs)
    )
    return variance, min(with_right, with_wrong)


def _corrected(clusters: int) -> float:
    return clusters / (clusters - 1) if clusters > 1 else 1.0
