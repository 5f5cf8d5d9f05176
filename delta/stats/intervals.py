"""Intervals for scores. Questions are the unit of chance: samples of one question hang together."""

import math
from collections.abc import Sequence
from typing import NamedTuple

Z95 = 1.959963984540054  # two-sided 95 % point of the normal distribution


class Interval(NamedTuple):
    value: float
    low: float
    high: float


class StandardErrors(NamedTuple):
    """Standard errors of a score."""

    between_questions: float | None  # all of it: other questions, other answers; None for one
    within_questions: float | None  # of it, by other answers alone; None with one answer a question


def wilson(share: float, n: float, z: float = Z95) -> Interval:
    """Wilson's interval of a share among `n` independent trials; `n` may be an effective number.

    Unlike the normal interval it keeps its level near 0 and 1, where small models live.
    """
    if not n > 0:
        raise ValueError(f"n = {n}: an interval needs at least one trial")
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At a share of 0 or 1 the bound is exact; rounding must not push it past the share.
    return Interval(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def clustered_proportion(clusters: Sequence[Sequence[bool]]) -> Interval:
    """Share of successes, samples grouped by question, with a 95 % interval."""
    means = [sum(samples) / len(samples) for samples in clusters]
    return effective_n_wilson(means, sum(len(samples) for samples in clusters))


def effective_n_wilson(means: Sequence[float], answers: int) -> Interval:
    """The mean of questions' shares with its 95 % interval; `answers` is how many there were.

    Every question weighs the same. The variance between questions gives the number of independent
    trials that would vary as much, and Wilson's interval for that number: the questions where the
    answers to each agree, up to all answers where they do not hang together at all.
    """
    n = len(means)
    if n == 0:
        raise ValueError("an interval needs at least one question")
    share = math.fsum(means) / n
    between = math.fsum((mean - share) ** 2 for mean in means)
    # A score near 0 or 1 rests on a few questions, which cannot tell whether answers hang together.
    # One more question half between all and nothing (1/4 is its square) leans on "they do".
    together = (between + 0.25) / (n * share * (1 - share) + 0.25)
    return wilson(share, min(n / together, answers))


def standard_errors(clusters: Sequence[Sequence[bool]]) -> StandardErrors:
    """The two error terms of a score."""
    means = [sum(samples) / len(samples) for samples in clusters]
    n = len(means)
    if n == 0:
        raise ValueError("an error needs at least one question")
    share = math.fsum(means) / n
    between = math.fsum((mean - share) ** 2 for mean in means)
    total = math.sqrt(between / (n - 1) / n) if n > 1 else None
    if min(len(samples) for samples in clusters) == 1:
        return StandardErrors(total, None)
    spreads = [
        mean * (1 - mean) / (len(samples) - 1)
        for mean, samples in zip(means, clusters, strict=True)
    ]
    return StandardErrors(total, math.sqrt(math.fsum(spreads)) / n)


def group_mean(benchmarks: Sequence[Interval]) -> Interval:
    """The plain mean over benchmarks, a group's score (paper, 3.1.2), with a 95 % interval.

    Distances from value to bound are added as errors are, by squares, low and high apart (Zou and
    Donner's MOVER): so Wilson's lopsided intervals near 0 and 1 stay lopsided.
    """
    n = len(benchmarks)
    if n == 0:
        raise ValueError("a group needs at least one benchmark")
    value = math.fsum(one.value for one in benchmarks) / n
    below = math.hypot(*(one.value - one.low for one in benchmarks)) / n
    above = math.hypot(*(one.high - one.value for one in benchmarks)) / n
    return Interval(value, max(0.0, value - below), min(1.0, value + above))
