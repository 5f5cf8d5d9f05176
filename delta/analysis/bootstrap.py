"""Would other votes have given the same sets? Every trace's votes drawn anew from those it has.

The delta of a pair by drawn votes is a whole number, in units of 1 / (the least common multiple of
the traces' numbers of votes): equal deltas are equal without rounding, in one byte where traces
have five votes, and counting finds the cut where a sort would put all pairs in order.
"""

import math
import os
from bisect import bisect_left
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from delta.analysis.reliability import PairRows
from delta.analysis.votes import MEAN, Array, Mask, Places, Votes, vote_counts

Whole = NDArray[np.integer[Any]]
AT_ONCE = 1 << 18  # traces drawn at once; with fewer, threads wait for each other
FEW_PAIRS = 1 << 12  # that are looked through rather than halved again


class Part(NamedTuple):
    """Traces in a row that have the same number of votes."""

    rows: slice
    number: int


class Table(NamedTuple):
    """The votes in several dimensions, of which every trace has as many in each."""

    votes: list[Whole]  # vote × trace, so that their sums are means in the common unit
    parts: list[Part]
    sides: tuple[slice | Places, slice | Places]  # the traces that the pairs stand on


def table(matrices: list[Array], scales: list[int], sides: PairRows) -> Table:
    """`matrices`: trace × vote; whole numbers when multiplied by their scale."""
    both = np.concatenate(sides)
    used, at, place = np.unique(both, return_index=True, return_inverse=True)
    number = vote_counts(matrices[0][used]).astype(np.int64)
    order = np.lexsort((at, number))
    number = number[order]
    ends = np.flatnonzero(np.diff(number, append=0)) + 1
    parts = [
        Part(slice(start, min(start + AT_ONCE, end)), int(number[start]))
        for begin, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)
        for start in range(begin, end, AT_ONCE)
    ]
    place_in_order = np.argsort(order)[place]
    chosen, rejected = np.split(place_in_order, 2)
    whole = [
        in_units(matrix[used[order]], scale, parts)
        for matrix, scale in zip(matrices, scales, strict=True)
    ]
    return Table(whole, parts, (consecutive(chosen), consecutive(rejected)))


def in_units(matrix: Array, scale: int, parts: list[Part]) -> Whole:
    """Vote × trace. Where traces have different numbers of votes, a vote weighs accordingly."""
    unit = math.lcm(*(part.number for part in parts))
    highest = int(np.rint(np.nanmax(matrix) * scale)) * unit
    held = np.rint(np.nan_to_num(matrix.T) * scale)
    whole = np.ascontiguousarray(held, signed(highest))
    for part in parts:
        whole[:, part.rows] *= unit // part.number
    return whole


def signed(highest: int) -> np.dtype[Any]:
    """The smallest type that holds `highest`, and all that lies between it and its negative."""
    return np.min_scalar_type(-highest - 1)


def consecutive(places: Places) -> slice | Places:
    """A slice where it is the same: it copies nothing."""
    if (np.diff(places) == 1).all():
        return slice(int(places[0]), int(places[-1]) + 1)
    return places


def topk_stability(
    votes: Votes,
    both: PairRows,
    draw: Places,
    firsts: dict[str, Places],
    sizes: list[int],
    resamples: int,
    seed: int,
) -> dict[str, Array]:
    """By dimension, resample × k: percent of the first k pairs that are among the first k again.

    `draw`: each pair's place among equals. `firsts`: the pairs in their order by the votes as they
    are. Dimensions in which each trace has as many votes share their draws: one reply of a judge
    votes on all. Not in the result are those without a trace of several votes, or with one of none.
    """
    by_draw = np.argsort(draw)
    sides = PairRows(both.chosen[by_draw], both.rejected[by_draw])
    alike: dict[bytes, list[str]] = {}
    for name in firsts:
        number = vote_counts(votes.matrices[name])[np.concatenate(sides)]
        if number.min() > 0 and number.max() > 1:
            alike.setdefault(number.tobytes(), []).append(name)
    found: dict[str, Array] = {}
    for place, names in enumerate(alike.values()):
        matrices = [votes.matrices[name] for name in names]
        scales = [len(votes.matrices) - 1 if name == MEAN else 1 for name in names]
        inside = [[mask(draw[firsts[name][:k]], len(draw)) for k in sizes] for name in names]
        drawn_from = table(matrices, scales, sides)
        again = shares(drawn_from, inside, sizes, resamples, [seed, place])
        found |= dict(zip(names, again, strict=True))
    return found


def shares(
    drawn_from: Table, inside: list[list[Mask]], sizes: list[int], resamples: int, seed: list[int]
) -> Array:
    """Dimension × resample × k. `inside`: for each dimension and k the pairs to find again."""
    cuts = np.zeros((len(inside), len(sizes)), dtype=np.int64).tolist()

    def resample(turn: int) -> Array:
        # A generator of its own: the result is the same by however many threads.
        random = np.random.default_rng([*seed, turn])
        found = np.empty((len(inside), len(sizes)))
        for dimension, delta in enumerate(deltas(drawn_from, random)):
            for size, k in enumerate(sizes):
                # The cut hardly moves between resamples: look first where it was.
                cut = cuts[dimension][size] = kth(delta, k, cuts[dimension][size])
                found[dimension, size] = 100 * again(delta, cut, k, inside[dimension][size]) / k
        return found

    long = drawn_from.votes[0].shape[1] >= AT_ONCE
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if long else 1) as pool:
        return np.stack(list(pool.map(resample, range(resamples))), axis=1)


def deltas(drawn_from: Table, random: np.random.Generator) -> Iterator[Whole]:
    """Of all pairs, in each dimension, by votes drawn with replacement."""
    totals = [np.empty(votes.shape[1], votes.dtype) for votes in drawn_from.votes]
    for rows, number in drawn_from.parts:
        times = times_drawn(number, rows.stop - rows.start, random)
        for votes, total in zip(drawn_from.votes, totals, strict=True):
            (times * votes[:number, rows]).sum(axis=0, dtype=total.dtype, out=total[rows])
    chosen, rejected = drawn_from.sides
    for total in totals:
        yield total[chosen] - total[rejected]


def times_drawn(number: int, traces: int, random: np.random.Generator) -> Whole:
    """Vote × trace: how often each of a trace's votes comes up in `number` draws."""
    times = np.zeros((number, traces), signed(number))
    for drawn in below(number, traces, random):
        for vote in range(number - 1):
            times[vote] += (drawn == vote).view(np.int8)
    times[-1] = number - times[:-1].sum(axis=0, dtype=times.dtype)
    return times


def below(number: int, size: int, random: np.random.Generator) -> Iterator[Whole]:
    """`number` arrays of whole numbers below it: the digits to that base of one draw of 16 bits,
    or of as few as hold them."""
    fitting = next(digits for digits in range(number, -1, -1) if number**digits <= 1 << 16)
    left = number
    while left:
        digits = min(left, fitting)
        code = random.integers(0, number**digits, size, dtype=np.uint16)
        for _ in range(digits - 1):
            rest = code // number
            yield code - rest * number
            code = rest
        yield code
        left -= digits


def kth(delta: Whole, k: int, near: int) -> int:
    """The k-th largest, looked for from `near` on, in steps that double."""

    def reached(value: int) -> bool:
        return bool(np.count_nonzero(delta >= value) >= k)

    step, low, high = 1, near, near + 1  # the last value reached is to be in low ... high - 1
    while reached(high):
        low, high, step = high, high + step, 2 * step
    while not reached(low):
        low, high, step = low - step, low, 2 * step
    return bisect_left(range(low + 1, high), True, key=lambda value: not reached(value)) + low


def again(delta: Whole, cut: int, k: int, inside: Mask) -> int:
    """How many of the pairs `inside` are among the first k; of those at the cut, the first few."""
    above, tied = delta > cut, delta == cut
    end = after(tied, k - int(np.count_nonzero(above)))
    return int(np.count_nonzero(above & inside) + np.count_nonzero(tied[:end] & inside[:end]))


def after(there: Mask, number: int) -> int:
    """The place after that of the number-th true value."""
    start, end = 0, len(there)
    while end - start > FEW_PAIRS:
        middle = (start + end) // 2
        before = int(np.count_nonzero(there[start:middle]))
        if before < number:
            start, number = middle, number - before
        else:
            end = middle
    return start + int(np.flatnonzero(there[start:end])[number - 1]) + 1


def mask(places: Places, size: int) -> Mask:
    found = np.zeros(size, dtype=np.bool_)
    found[places] = True
    return found
