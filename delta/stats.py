"""Intervals for scores. Questions are the unit of chance: samples of one question hang together."""

import math
from collections.abc import Sequence
from typing import NamedTuple

Z95 = 1.959963984540054  # two-sided 95 % point of the normal distribution


class Interval(NamedTuple):
    value: float
    low: float
    high: float


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


def clustered_share(clusters: Sequence[Sequence[bool]]) -> Interval:
    """Share of successes, samples grouped by question, with a 95 % interval.

    Every question weighs the same. The variance is that between questions' means; it gives the
    number of independent trials that would vary as much, and Wilson's interval for that number.
    With one sample a question, and where all questions agree, that number is the questions'.
    """
    means = [sum(samples) / len(samples) for samples in clusters]
    n = len(means)
    if n == 0:
        raise ValueError("an interval needs at least one question")
    share = math.fsum(means) / n
    if max(len(samples) for samples in clusters) == 1:
        return wilson(share, n)
    between = math.fsum((mean - share) ** 2 for mean in means)
    if between == 0 or n == 1:
        return wilson(share, n)
    variance_of_mean = between / (n - 1) / n
    independent = share * (1 - share) / variance_of_mean
    # Samples of a question agree by chance too: never more trials than there were samples.
    return wilson(share, min(independent, sum(len(samples) for samples in clusters)))
