"""Correction where many comparisons are made. Adjusted p-values, in the order given."""

from collections.abc import Sequence


def holm(ps: Sequence[float]) -> list[float]:
    """The chance of even one false finding among all is at most the level (Holm 1979)."""
    adjusted, so_far = [0.0] * len(ps), 0.0
    for rank, place in enumerate(_order(ps)):
        so_far = max(so_far, (len(ps) - rank) * ps[place])
        adjusted[place] = min(1.0, so_far)
    return adjusted


def benjamini_hochberg(ps: Sequence[float]) -> list[float]:
    """The share of false ones among the findings is at most the level (1995)."""
    adjusted, so_far = [0.0] * len(ps), 1.0
    for rank, place in reversed(list(enumerate(_order(ps), start=1))):
        so_far = min(so_far, ps[place] * len(ps) / rank)
        adjusted[place] = so_far
    return adjusted


def _order(ps: Sequence[float]) -> list[int]:
    for p in ps:
        if not 0 <= p <= 1:
            raise ValueError(f"p = {p}; allowed: 0 to 1")
    return sorted(range(len(ps)), key=lambda place: ps[place])
