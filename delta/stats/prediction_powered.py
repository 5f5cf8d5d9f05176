"""Means of people's ratings from many ratings by a judge and few by people.

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


class Part(NamedTuple):
    """The ratings of one population, by unit; NaN where there is none.

    All parts of a sum have the same units in the same order, for example problems. People rate a
    random sample of them.
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
    rated: int  # units that people rated, in the part that has fewest


def people_alone(parts: Sequence[Part]) -> PoweredMean | None:
    """Return the weighted sum of people's means; None where fewer than two units of a part are.

    Its variance sums over units, so a unit in several parts is paired with itself.
    """
    rated = _fewest_rated(parts)
    if rated < 2:
        return None
    value = math.fsum(part.weight * float(np.nanmean(part.people)) for part in parts)
    by_part = [part.weight * _influence(part.people) for part in parts]
    error = math.sqrt(_squares(np.sum(by_part, axis=0)))
    return _interval(value, error, _degrees_of_freedom(parts, by_part), 0.0, rated)


def prediction_powered(parts: Sequence[Part]) -> PoweredMean | None:
    """Return the weighted sum of people's means by people and the judge.

    The judge's weight, 0 to 1, is the one with the smallest variance. None where people rated fewer
    than MIN_RATED units of a part.
    """
    rated = _fewest_rated(parts)
    if rated < MIN_RATED:
        return None
    people = np.sum([part.weight * _influence(part.people) for part in parts], axis=0)
    judge = np.sum(
        [part.weight * (_influence(part.judge) - _influence(part.judge_of_same)) for part in parts],
        axis=0,
    )
    squares = _squares(judge)
    weight = min(1.0, max(0.0, -float(people @ judge) / squares)) if squares > 0 else 0.0
    value = math.fsum(
        part.weight * float(np.nanmean(part.people - weight * part.judge_of_same))
        + part.weight * weight * float(np.nanmean(part.judge))
        for part in parts
    )
    df = _degrees_of_freedom(
        parts,
        [part.weight * _influence(part.people - weight * part.judge_of_same) for part in parts],
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


def _degrees_of_freedom(parts: Sequence[Part], influences: Sequence[Array]) -> float:
    """Return Welch's degrees of freedom, but no more than a paired test of all rated units has."""
    rated = [~np.isnan(part.people) for part in parts]
    variances = [_squares(influence) for influence in influences]
    squares = math.fsum(
        variance**2 / (np.count_nonzero(present) - 1)
        for variance, present in zip(variances, rated, strict=True)
    )
    paired = float(np.count_nonzero(np.any(rated, axis=0)) - 1)
    return min(paired, math.fsum(variances) ** 2 / squares) if squares > 0 else paired


def _fewest_rated(parts: Sequence[Part]) -> int:
    for part in parts:
        if len({len(ratings) for ratings in (*part[1:], parts[0].people)}) != 1:
            raise ValueError("parts with different numbers of units")
        if (np.isnan(part.people) != np.isnan(part.judge_of_same)).any():
            raise ValueError("people rated units that the judge did not, or the other way round")
    return min(int(np.count_nonzero(~np.isnan(part.people))) for part in parts)


def _interval(
    value: float, error: float, df: float, judge_weight: float, rated: int
) -> PoweredMean:
    half_width = t95(df) * error
    return PoweredMean(value, value - half_width, value + half_width, judge_weight, rated)
