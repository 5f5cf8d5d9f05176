"""Correction of p-values where many comparisons are made."""

from collections.abc import Sequence


def holm(ps: Sequence[float]) -> list[float]:
    """Return Holm's (1979) adjusted p-values in the order given.

    The chance of even one false positive among all is at most the level.
    """
    for p in ps:
        if not 0 <= p <= 1:
            raise ValueError(f"p = {p}; expected 0 to 1")
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        highest = max(highest, (len(ps) - rank) * ps[place])
        adjusted[place] = min(1.0, highest)
    return adjusted
