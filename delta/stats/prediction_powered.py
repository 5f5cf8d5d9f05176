"""Estimate means of people's ratings from many ratings by a judge and few by people.

Prediction-powered inference (Angelopoulos et al. 2023), power-tuned (PPI++, Angelopoulos, Duchi and
Zrnic 2023). The judge's mean over all units is corrected by people's mean difference from the judge
on the units that both rated. So the judge may be biased: it only makes the interval narrower, the
more so the better it agrees with people.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from delta.stats.intervals import t95

Array = NDArray[np.float64]
MIN_RATED = 10  # units that people rated; with fewer the judge's weight is not known


class RatedGroup(NamedTuple):
    """The ratings of one group of traces, by unit; NaN where there is none.

    All groups of a sum have the same units in the same order, for example problems. People rate
    a random sample of them.
    """

    weight: float  # of its mean in the sum
    people: Array
    judge_of_same: Array  # the judge's ratings of what people rated
    judge: Array  # the judge's ratings of everything


class PoweredMean(NamedTuple):
    """An estimate of a weighted sum of people's means, with its 95% interval."""

    value: float
    low: float
    high: float
    judge_weight: float  # 0: people alone; 1: the judge's mean, corrected by people
    rated: int  # units that people rated, in the group that has fewest


def people_alone(groups: Sequence[RatedGroup]) -> PoweredMean | None:
    """Return the weighted sum of people's means; None if they rated fewer than two of a group.

    Its variance sums over units, so a unit in several groups is paired with itself.
    """
    rated = _fewest_rated(groups)
    if rated < 2:
        return None
    value = math.fsum(group.weight * float(np.nanmean(group.people)) for group in groups)
    by_group = [group.weight * _influence(group.people) for group in groups]
    error = math.sqrt(_squares(np.sum(by_group, axis=0)))
    return _interval(value, error, _degrees_of_freedom(groups, by_group), 0.0, rated)


def prediction_powered(groups: Sequence[RatedGroup]) -> PoweredMean | None:
    """Return the weighted sum of people's means by people and the judge.

    The judge's weight, 0 to 1, is the one with the smallest variance. None where people rated fewer
    than MIN_RATED units of a group.
    """
    rated = _fewest_rated(groups)
    if rated < MIN_RATED:
        return None
    people = np.sum([group.weight * _influence(group.people) for group in groups], axis=0)
    judge = np.sum(
        [
            group.weight * (_influence(group.judge) - _influence(group.judge_of_same))
            for group in groups
        ],
        axis=0,
    )
    squares = _squares(judge)
    weight = min(1.0, max(0.0, -float(people @ judge) / squares)) if squares > 0 else 0.0
    value = math.fsum(
        group.weight * float(np.nanmean(group.people - weight * group.judge_of_same))
        + group.weight * weight * float(np.nanmean(group.judge))
        for group in groups
    )
    df = _degrees_of_freedom(
        groups,
        [
            group.weight * _influence(group.people - weight * group.judge_of_same)
            for group in groups
        ],
    )
    # The weight is fitted to the same units: Cochran's (1977, 7.3) factor for small samples.
    error = math.sqrt(_squares(people + weight * judge) * df / (df - 2))
    return _interval(value, error, df, weight, rated)


def _influence(values: Array) -> Array:
    """Return by how much each unit moves the mean; 0 for a unit without a value.

    Their sum of squares is the variance of the mean, as the unbiased s² / n.
    """
    present = ~np.isnan(values)
    size = int(np.count_nonzero(present))
    influence = np.zeros(len(values))
    deviation = values[present] - values[present].mean()
    influence[present] = deviation / math.sqrt(size * max(1, size - 1))
    return influence


def _squares(values: Array) -> float:
    return float(values @ values)


def _degrees_of_freedom(groups: Sequence[RatedGroup], influences: Sequence[Array]) -> float:
    """Return Welch's degrees of freedom, but no more than a paired test of all rated units has."""
    rated = [~np.isnan(group.people) for group in groups]
    variances = [_squares(influence) for influence in influences]
    squares = math.fsum(
        variance**2 / (np.count_nonzero(present) - 1)
        for variance, present in zip(variances, rated, strict=True)
    )
    paired = float(np.count_nonzero(np.any(rated, axis=0)) - 1)
    return min(paired, math.fsum(variances) ** 2 / squares) if squares > 0 else paired


def _fewest_rated(groups: Sequence[RatedGroup]) -> int:
    for group in groups:
        if len({len(ratings) for ratings in (*group[1:], groups[0].people)}) != 1:
            raise ValueError("groups with different numbers of units")
        if (np.isnan(group.people) != np.isnan(group.judge_of_same)).any():
            raise ValueError("people rated units that the judge did not, or the other way round")
    return min(int(np.count_nonzero(~np.isnan(group.people))) for group in groups)


def _interval(
    value: float, error: float, df: float, judge_weight: float, rated: int
) -> PoweredMean:
    half_width = t95(df) * error
    return PoweredMean(value, value - half_width, value + half_width, judge_weight, rated)
