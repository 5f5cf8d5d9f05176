"""Pairs with votes in one dimension, and what a selection made of them."""

from typing import Literal

import polars as pl

from delta.core.schemas import PAIR, RATING
from delta.core.tables import frame_of
from delta.pairing.select import Quantile, SelectorParams

Votes = list[int]
Mode = Literal["top", "bottom", "random", "length_matched", "all"]
FACTS = "factuality"


def selector(k: int | None, mode: Mode = "top", by: str = FACTS, seed: int = 6) -> SelectorParams:
    return SelectorParams(mode=mode, by=by, k=k, quantile=None, seed=seed)


def quintile(number: int, k: int) -> SelectorParams:
    part = Quantile(number=number, of=5)
    return SelectorParams(mode="quantile", by=FACTS, k=k, quantile=part, seed=6)


def rated_pairs(
    votes: dict[str, tuple[Votes, Votes]],
    dimension: str = FACTS,
    lengths: dict[str, int] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return pairs by name, and the ratings of both sides in one dimension."""
    pairs = [
        {
            "pair_id": name,
            "problem_id": f"problem of {name}",
            "chosen_id": f"{name}+",
            "rejected_id": f"{name}-",
            "chosen_outcome": "correct",
            "rejected_outcome": "incorrect",
            "length_difference": (lengths or {}).get(name, 0),
            "recipe": "strong > weak",
        }
        for name in votes
    ]
    rows = [
        {
            "trace_id": f"{name}{sign}",
            "judge": "rules",
            "dimension": dimension,
            "votes": cast,
            "refused": 0,
        }
        for name, sides in votes.items()
        for sign, cast in zip("+-", sides, strict=True)
    ]
    return frame_of(pairs, PAIR), frame_of(rows, RATING)


def pairs_with_deltas(
    deltas: dict[str, int], lengths: dict[str, int] | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return pairs with these deltas, -4 to 4, and their ratings."""
    votes: dict[str, tuple[Votes, Votes]] = {
        name: ([1 + max(0, delta)], [1 + max(0, -delta)]) for name, delta in deltas.items()
    }
    return rated_pairs(votes, lengths=lengths)


def selected(table: pl.DataFrame) -> list[str]:
    return table.filter("selected").sort("rank")["pair_id"].to_list()


def reasons(table: pl.DataFrame) -> dict[str, str]:
    return dict(table.select("pair_id", "why").iter_rows())
