"""A control group with the same distribution of one number as a reference group."""

from bisect import bisect_left
from collections.abc import Sequence

import polars as pl


def nearest(wanted: Sequence[float], there: Sequence[float]) -> list[int]:
    """For each number of `wanted` a place in the ascending `there`: the nearest that is still
    free, each taken once; of two equally near the lower.

    The numbers farthest from the middle of `there` choose first: what is near them is rare, and
    the others find something near anyway. Raises ValueError where more are wanted than there.
    """
    if len(wanted) > len(there):
        raise ValueError(f"{len(wanted)} numbers cannot be matched with {len(there)}")
    below = list(range(len(there) + 1))  # from i + 1 towards the free place at or below i, plus 1
    above = list(range(len(there) + 1))  # from i towards the free place at or above i
    middle = there[len(there) // 2] if there else 0.0
    places = [0] * len(wanted)
    for index in sorted(range(len(wanted)), key=lambda i: (-abs(wanted[i] - middle), wanted[i])):
        number = wanted[index]
        start = bisect_left(there, number)
        low, high = _root(below, start) - 1, _root(above, start)
        take_low = high == len(there) or (low >= 0 and number - there[low] <= there[high] - number)
        place = low if take_low else high
        below[place + 1], above[place] = place, place + 1
        places[index] = place
    return places


def _root(parents: list[int], node: int) -> int:
    """Where the chain from `node` ends; halves the chain on the way, for the next who asks."""
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


def ks_distance(one: pl.Series, other: pl.Series) -> float:
    """Kolmogorov and Smirnov's: the largest gap between two cumulative distributions, 0 to 1."""
    steps = pl.concat(
        pl.DataFrame({"number": numbers.cast(pl.Float64)}).with_columns(step=sign / numbers.len())
        for sign, numbers in ((1, one), (-1, other))
    )
    gap = (
        steps.group_by("number")
        .agg(pl.col("step").sum())
        .sort("number")
        .select(pl.col("step").cum_sum().abs().max())
        .item()
    )
    return round(float(gap), 6)
