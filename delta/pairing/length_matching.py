"""Pick a control group whose numbers are distributed like those of a reference group."""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import polars as pl


def match_nearest(wanted: Sequence[float], available: Sequence[float]) -> list[int]:
    """Match each number of `wanted` with the index of the nearest free number in `available`.

    `available` is ascending. Each index is used once; of two equally near numbers, the lower is
    taken. The numbers farthest from the middle of `available` are matched first, because numbers
    near them are rare. Raises ValueError if more numbers are wanted than available.
    """
    if len(wanted) > len(available):
        raise ValueError(f"{len(wanted)} numbers cannot be matched with {len(available)}")
    below = list(range(len(available) + 1))  # from i + 1 towards the free index <= i, plus 1
    above = list(range(len(available) + 1))  # from i towards the free index >= i
    middle = available[len(available) // 2] if available else 0.0
    matches = [0] * len(wanted)
    for index in sorted(range(len(wanted)), key=lambda i: (-abs(wanted[i] - middle), wanted[i])):
        number = wanted[index]
        start = bisect_left(available, number)
        low, high = _root(below, start) - 1, _root(above, start)
        take_low = high == len(available) or (
            low >= 0 and number - available[low] <= available[high] - number
        )
        match = low if take_low else high
        below[match + 1], above[match] = match, match + 1
        matches[index] = match
    return matches


def _root(parents: list[int], node: int) -> int:
    """Return the end of the chain from `node`, and halve the chain for later calls."""
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


def ks_distance(first: pl.Series, second: pl.Series) -> float:
    """Return the two-sample Kolmogorov-Smirnov statistic, 0 to 1."""
    values = np.concatenate([first, second])
    first_cdf, second_cdf = (
        np.searchsorted(np.sort(sample), values, side="right") / len(sample)
        for sample in (first.to_numpy(), second.to_numpy())
    )
    return round(float(np.abs(first_cdf - second_cdf).max()), 6)
