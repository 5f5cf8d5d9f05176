"""Intervals for scores. Questions are the sampling unit: their samples are correlated."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Z95 = float(special.ndtri(0.975))
# Squared deviations that are added to those between questions, as if all answers to a question
# agreed. Where 9 of 10 questions are nearly always failed and the others nearly always solved, a
# sample of 30 may have none of the others: without a prior the interval says that all are alike.
PRIOR = 1.0


class Interval(NamedTuple):
    """A value with the bounds of its 95% interval, all in one unit."""

    value: float
    low: float
    high: float


class OptionalInterval(NamedTuple):
    """An interval, or only a value, or neither, where the data do not say it."""

    value: float | None
    low: float | None
    high: float | None


NO_INTERVAL = OptionalInterval(None, None, None)


class StandardErrors(NamedTuple):
    """The two standard errors of a score, in the unit of the score."""

    between_questions: float | None  # for other questions and answers; None with one question
    within_questions: float | None  # for other answers alone; None with one answer a question


def t95(df: float) -> float:
    """Return the two-sided 95% point of Student's t."""
    return float(special.stdtrit(df, 0.975))


def wilson(proportion: float, n: float, z: float = Z95) -> Interval:
    """Return Wilson's interval of a proportion of `n` independent trials, by default at 95%.

    `n` may be an effective number. Unlike the normal interval it keeps its level near 0 and 1,
    where small models score.
    """
    if not n > 0:
        raise ValueError(f"n = {n}: an interval needs at least one trial")
    centre = (proportion + z * z / (2 * n)) / (1 + z * z / n)
    variance = proportion * (1 - proportion) / n + z * z / (4 * n * n)
    half_width = z / (1 + z * z / n) * math.sqrt(variance)
    # At 0 and 1 the bound is exact; rounding must not push it past the proportion.
    low, high = max(0.0, centre - half_width), min(1.0, centre + half_width)
    return Interval(proportion, min(proportion, low), max(proportion, high))


def clustered_proportion(clusters: Sequence[Sequence[bool]]) -> Interval:
    """Return the proportion of successes with a 95% interval, samples grouped by question."""
    return effective_n_wilson(_means(clusters), sum(map(len, clusters)))


def effective_n_wilson(means: Sequence[float], answers: int) -> Interval:
    """Return the mean of the questions' proportions with its 95% interval.

    Every question has the same weight; `answers` is the number of answers to all of them. The
    interval is Wilson's for the effective number of independent trials. That is the number of
    questions where all answers to a question agree, and the number of answers where they are
    uncorrelated.
    """
    n = len(means)
    if n == 0:
        raise ValueError("an interval needs at least one question")
    mean = math.fsum(means) / n
    design_effect = (_squares(means, mean) + PRIOR) / (n * mean * (1 - mean) + PRIOR)
    return wilson(mean, min(n / design_effect, answers))


def standard_errors(clusters: Sequence[Sequence[bool]]) -> StandardErrors:
    """Return the two standard errors of a score, from the answers to each question."""
    means = _means(clusters)
    n = len(means)
    if n == 0:
        raise ValueError("an error needs at least one question")
    squares = _squares(means, math.fsum(means) / n)
    between = math.sqrt(squares / (n - 1) / n) if n > 1 else None
    sizes = [len(samples) for samples in clusters]
    if min(sizes) == 1:
        return StandardErrors(between, None)
    variances = [mean * (1 - mean) / (size - 1) for mean, size in zip(means, sizes, strict=True)]
    return StandardErrors(between, math.sqrt(math.fsum(variances)) / n)


def _means(clusters: Sequence[Sequence[bool]]) -> list[float]:
    return [sum(samples) / len(samples) for samples in clusters]


def _squares(values: Sequence[float], mean: float) -> float:
    return math.fsum((value - mean) ** 2 for value in values)


def group_mean(benchmarks: Sequence[Interval]) -> Interval:
    """Return a group's score with a 95% interval: the mean over benchmarks (paper, 3.1.2).

    On each side, the distances from value to bound are added by their squares (Zou and Donner's
    MOVER), so that intervals near 0 and 1 stay asymmetric.
    """
    n = len(benchmarks)
    if n == 0:
        raise ValueError("a group needs at least one benchmark")
    value = math.fsum(score.value for score in benchmarks) / n
    below = math.hypot(*(score.value - score.low for score in benchmarks)) / n
    above = math.hypot(*(score.high - score.value for score in benchmarks)) / n
    return Interval(value, max(0.0, value - below), min(1.0, value + above))


def mean_interval(
    values: NDArray[np.float64], lowest: float = -math.inf, highest: float = math.inf
) -> OptionalInterval:
    """Return the mean of independent numbers with its 95% interval by Student's t.

    The bounds are clipped to `lowest` and `highest`. They are None where all numbers are equal,
    because an interval of zero width would claim certainty. All three are None for no numbers.
    """
    if len(values) == 0:
        return NO_INTERVAL
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return OptionalInterval(mean, None, None)
    half_width = t95(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    low, high = max(lowest, mean - half_width), min(highest, mean + half_width)
    return OptionalInterval(mean, low, high)
