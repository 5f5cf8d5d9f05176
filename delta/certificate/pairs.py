"""Pairs of a clean and a faulty trace of the same problem, whose fault is known."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from delta.core.shuffle import shuffle_key


class FaultPair(NamedTuple):
    """A clean trace and the same trace with one fault."""

    problem: str  # pairs of one problem are correlated
    fault: str
    dimension: str | None  # the one that the fault belongs to; None: no single one
    statement: str
    clean: str
    faulty: str


def first_per_fault(pairs: Iterable[FaultPair], number: int, seed: int) -> list[FaultPair]:
    """Return at most `number` pairs of each fault.

    All faults take their problems in the same seeded order, so most pairs share a clean trace.
    """
    ordered = sorted(
        set(pairs), key=lambda pair: (shuffle_key(seed, pair.problem), *map(str, pair))
    )
    taken: Counter[str] = Counter()
    chosen = []
    for pair in ordered:
        taken[pair.fault] += 1
        if taken[pair.fault] <= number:
            chosen.append(pair)
    return chosen
