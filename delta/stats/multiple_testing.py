"""Correct p-values for multiple comparisons."""

from collections.abc import Sequence


def holm(ps: Sequence[float]) -> list[float]:
    """Return Holm's (1979) adjusted p-values, in the order of `ps`.

    At a given level, the chance of one or more false positives among all is at most that level.
    """
    for p in ps:
        if not 0 <= p <= 1:
            raise ValueError(f"p = {p}; expected 0 to 1")
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        highest = max(highest, (len(ps) - rank) * ps[index])
        adjusted[index] = min(1.0, highest)
    return adjusted
