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
    people = _sum_of_means([(part.weight, part.people) for part in parts])
    return _interval(people.value, people.influence, 0.0, rated)


def prediction_powered(parts: Sequence[Part]) -> PoweredMean | None:
    """Return the weighted sum of people's means by people and the judge.

    The judge's weight, 0 to 1, is the one with the smallest variance. None where people rated fewer
    than MIN_RATED units of a part.
    """
    rated = _fewest_rated(parts)
    if rated < MIN_RATED:
        return None
    people = _sum_of_means([(part.weight, part.people) for part in parts])
    judge = _sum_of_means(
        [(part.weight, part.judge) for part in parts]
        + [(-part.weight, part.judge_of_same) for part in parts]
    )
    covariance = float(people.influence @ judge.influence)
    squares = float(judge.influence @ judge.influence)
    weight = min(1.0, max(0.0, -covariance / squares)) if squares > 0 else 0.0
    # The weight is fitted to the same units: Cochran's (1977, 7.3) factor for small samples.
    factor = math.sqrt((rated - 1) / (rated - 3))
    influence = factor * (people.influence + weight * judge.influence)
    return _interval(people.value + weight * judge.value, influence, weight, rated)


class _Sum(NamedTuple):
    value: float
    influence: Array  # by how much each unit moves the value; its squares sum to the variance


def _sum_of_means(terms: Sequence[tuple[float, Array]]) -> _Sum:
    """Return the weighted sum of means. A unit without a value in a term does not move it."""
    value, influence = 0.0, np.zeros(len(terms[0][1]))
    for weight, ratings in terms:
        present = ~np.isnan(ratings)
        size = int(np.count_nonzero(present))
        mean = float(ratings[present].sum()) / size
        # Divided so that the sum of squares is the unbiased s² / n.
        scale = weight / math.sqrt(size * max(1, size - 1))
        influence[present] += scale * (ratings[present] - mean)
        value += weight * mean
    return _Sum(value, influence)


def _fewest_rated(parts: Sequence[Part]) -> int:
    for part in parts:
        if len({len(ratings) for ratings in (*part[1:], parts[0].people)}) != 1:
            raise ValueError("parts with different numbers of units")
        if (np.isnan(part.people) != np.isnan(part.judge_of_same)).any():
            raise ValueError("people rated units that the judge did not, or the other way round")
    return min(int(np.count_nonzero(~np.isnan(part.people))) for part in parts)


def _interval(value: float, influence: Array, judge_weight: float, rated: int) -> PoweredMean:
    half_width = t95(rated - 1) * math.sqrt(float(influence @ influence))
    return PoweredMean(value, value - half_width, value + half_width, judge_weight, rated)
