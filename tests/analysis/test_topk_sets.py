"""Top sets equal those of `select`; their overlap, that of chance, and their stability."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from delta.analysis import topk_sets
from delta.analysis.bootstrap import top_k
from delta.analysis.votes import Votes, gather_votes
from delta.core.errors import InputError
from delta.core.schemas import PAIR, RATING, TRACE, VERDICT
from delta.core.tables import frame_of
from delta.judging.rubric import DIMENSIONS, MEAN
from delta.pairing.select import SelectorParams, select

FACTS, STRATEGY = DIMENSIONS[:2]
SEED = 6


def random_ratings(
    num: int, num_votes: int, seed: int = 0, refused: tuple[int, ...] = ()
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return random pairs and ratings in all dimensions. The pairs `refused` lack a rating."""
    random = np.random.default_rng(seed)
    pairs = [
        {
            "pair_id": f"pair {place}",
            "problem_id": f"p{place}",
            "chosen_id": f"p{place}/g/0",
            "rejected_id": f"p{place}/h/0",
            "length_difference": int(random.integers(-9, 9)),
        }
        for place in range(num)
    ]
    ratings = [
        {
            "trace_id": f"p{place}/{generator}/0",
            "judge": "x",
            "dimension": dimension,
            "votes": []
            if place in refused and generator == "h"
            else random.integers(1, 6, num_votes).tolist(),
            "refused": 0,
        }
        for place in range(num)
        for generator in ("g", "h")
        for dimension in DIMENSIONS
    ]
    return frame_of(pairs, PAIR), frame_of(ratings, RATING)


def select_pairs(
    pairs: pl.DataFrame, ratings: pl.DataFrame, by: str, k: int | None
) -> pl.DataFrame:
    mode: Any = "top" if k else "all"
    return select(SelectorParams(mode=mode, by=by, k=k, quantile=None, seed=SEED), pairs, ratings)[
        0
    ]


def votes_of(ratings: pl.DataFrame) -> Votes:
    ids = ratings["trace_id"].unique()
    rows = [
        dict(zip(("problem_id", "generator"), trace_id.split("/"), strict=False))
        for trace_id in ids
    ]
    traces = frame_of(
        [{"trace_id": name} | row for name, row in zip(ids, rows, strict=True)], TRACE
    )
    return gather_votes(traces, frame_of([], VERDICT), ratings)


def rank_deltas(
    deltas: dict[str, list[float]], lengths: list[int] | None = None
) -> topk_sets.Ranking:
    num = len(next(iter(deltas.values())))
    frame = pl.DataFrame(
        {"pair_id": [f"pair {place}" for place in range(num)]}
        | {"length_difference": lengths or [0] * num}
        | {f"delta_{name}": [float(value) for value in values] for name, values in deltas.items()}
    )
    return topk_sets.rank_pairs(frame, SEED)


# --- the same sets as select ---


@pytest.mark.parametrize("by", [*DIMENSIONS, MEAN])
@pytest.mark.parametrize("k", [1, 7, 20, 38])
def test_the_top_sets_and_ties_are_those_of_select(by: str, k: int) -> None:
    pairs, ratings = random_ratings(40, num_votes=2, refused=(3, 8))
    ranked = topk_sets.rank_pairs(select_pairs(pairs, ratings, by, None), SEED)
    first = np.lexsort((ranked.tie_order, -ranked.deltas[by]))[:k]
    assert set(np.flatnonzero(top_k(ranked.deltas[by], ranked.tie_order, [k])[0])) == set(first)
    params = SelectorParams(mode="top", by=by, k=k, quantile=None, seed=SEED)
    table, counts = select(params, pairs, ratings)
    expected = table.filter("selected").sort("rank")["pair_id"].to_list()
    assert ranked.pairs["pair_id"].gather(first).to_list() == expected
    row = next(
        row
        for row in topk_sets.stability_rows(ranked, votes_of(ratings), [k], 2, 0)
        if row["dimension"] == by
    )
    assert row["pairs"] == counts["candidates"] == 38
    assert row["delta_at_cut"] == pytest.approx(counts["delta_at_cut"], abs=1e-4)
    assert (row["tied"], row["tied_and_in"]) == (counts["tied_at_cut"], counts["tied_and_selected"])


# --- overlap ---


def overlap(ranked: topk_sets.Ranking, k: int) -> dict[str, Any]:
    rows = topk_sets.overlap_rows(ranked, [k])
    assert [row["dimension"] for row in rows] == [FACTS, STRATEGY]  # both ways round
    first, second = ({**row, "dimension": None, "other": None} for row in rows)
    assert first == second
    return rows[0]


def test_the_overlap_of_two_sets_by_hand() -> None:
    ranked = rank_deltas({FACTS: [4, 3, 2, 1], STRATEGY: [4, 1, 2, 3]})
    row = overlap(ranked, 2)
    # {0, 1} and {0, 3}. Two random pairs of four share none, one or two: 1/6, 4/6, 1/6.
    assert (row["overlap"], row["overlap_own_ties"]) == (50.0, 50.0)
    assert (row["chance"], row["chance_low"], row["chance_high"]) == (50.0, 0.0, 100.0)
    assert (row["spearman"], row["pairs"], row["why"]) == (0.2, 4, None)


def test_the_overlap_by_chance_is_hypergeometric() -> None:
    # Two of 20: none in common 153/190 = 0.805, one 36/190, so 97.5% have at most one.
    assert topk_sets.chance_overlap(20, 2) == (10.0, 0.0, 50.0)
    assert topk_sets.chance_overlap(5, 5) == (100.0, 100.0, 100.0)
    assert topk_sets.chance_overlap(5, 4) == (80.0, 75.0, 100.0)  # three or four, never fewer
    draws = np.random.default_rng(0).hypergeometric(1000, 15500, 1000, 200_000) / 10
    mean, low, high = topk_sets.chance_overlap(16500, 1000)
    assert mean == pytest.approx(draws.mean(), abs=0.02)
    assert (low, high) == pytest.approx(np.quantile(draws, (0.025, 0.975)), abs=0.11)


def test_ties_broken_by_one_seed_make_sets_overlap_more_than_own_ties() -> None:
    ranked = rank_deltas({FACTS: [1] * 10, STRATEGY: [2] * 10})
    row = overlap(ranked, 4)
    assert (row["overlap"], row["overlap_own_ties"], row["chance"]) == (100.0, 40.0, 40.0)
    assert row["spearman"] is None


def test_a_set_larger_than_there_are_pairs_is_null_with_a_reason() -> None:
    ranked = rank_deltas({FACTS: [4, 3], STRATEGY: [3, 4]})
    row = overlap(ranked, 3)
    assert (row["overlap"], row["chance"], row["why"]) == (
        None,
        None,
        "only 2 pairs have all deltas",
    )


def test_pairs_without_a_delta_are_in_no_set() -> None:
    pairs, ratings = random_ratings(6, num_votes=1, refused=(0, 1))
    ranked = topk_sets.rank_pairs(select_pairs(pairs, ratings, FACTS, None), SEED)
    assert ranked.pairs["pair_id"].to_list() == [f"pair {place}" for place in range(2, 6)]


def test_without_any_rating_there_are_no_rows() -> None:
    ranked = topk_sets.rank_pairs(pl.DataFrame({"pair_id": ["a"], "length_difference": [1]}), SEED)
    assert topk_sets.overlap_rows(ranked, [1]) == topk_sets.length_rows(ranked) == []


# --- stability ---


def stability(ratings: pl.DataFrame, pairs: pl.DataFrame, seed: int = 1) -> list[dict[str, Any]]:
    ranked = topk_sets.rank_pairs(select_pairs(pairs, ratings, FACTS, None), SEED)
    return topk_sets.stability_rows(ranked, votes_of(ratings), [5, 40], 50, seed)


def test_equal_votes_are_stable_and_different_ones_are_not() -> None:
    pairs, ratings = random_ratings(40, num_votes=1)
    fivefold = ratings.with_columns(pl.concat_list(["votes"] * 5))
    assert {row["stability"] for row in stability(fivefold, pairs)} == {100.0}
    pairs, scattered = random_ratings(40, num_votes=5)
    five, all_ = stability(scattered, pairs)[:2]
    assert five["stability_low"] <= five["stability"] <= five["stability_high"]
    assert 20 < five["stability"] < 90
    assert all_["stability"] == 100.0  # all of 40 are always the same 40


def test_stability_is_not_defined_for_one_vote_a_trace() -> None:
    pairs, ratings = random_ratings(40, num_votes=1)
    row = stability(ratings, pairs)[0]
    assert (row["stability"], row["why"]) == (None, "every trace has one vote")
    assert row["tied"] is not None


def test_stability_depends_on_the_seed_and_not_on_the_order_of_rows() -> None:
    pairs, ratings = random_ratings(40, num_votes=5)
    assert stability(ratings, pairs) == stability(ratings.reverse(), pairs.reverse())
    assert stability(ratings, pairs) != stability(ratings, pairs, seed=2)


def test_a_trace_in_two_pairs_has_the_same_votes_in_both() -> None:
    pairs, ratings = random_ratings(12, num_votes=5)
    ids = pairs["rejected_id"].to_list()
    shared = pairs.with_columns(rejected_id=pl.Series([ids[0]] * 12))
    wide = ratings.with_columns(
        votes=pl.when(pl.col("trace_id").str.contains("/g/"))
        .then(pl.col("votes").list.head(1))
        .otherwise("votes")
    )
    # Only the common rejected trace varies: it moves all deltas alike, and no order changes.
    assert stability(wide, shared)[0]["stability"] == 100.0


def test_deltas_without_their_ratings_are_an_error() -> None:
    pairs, ratings = random_ratings(4, num_votes=2)
    ranked = topk_sets.rank_pairs(select_pairs(pairs, ratings, FACTS, None), SEED)
    fewer = ratings.filter(pl.col("trace_id") != "p0/g/0")
    with pytest.raises(InputError, match="pairs have deltas and no ratings"):
        topk_sets.stability_rows(ranked, votes_of(fewer), [2], 2, 0)


# --- length ---


def test_correlations_with_length_by_hand() -> None:
    rows = topk_sets.length_rows(
        rank_deltas({FACTS: [1, 2, 3, 4], STRATEGY: [1, 1, 1, 1]}, [10, 20, 30, 90])
    )
    # Pearson: Σ xy = 125, Σ x² = 5, Σ y² = 3875.
    assert rows[0]["pearson"] == pytest.approx(125 / (5 * 3875) ** 0.5, abs=1e-4)
    assert (rows[0]["spearman"], rows[0]["pairs"]) == (1.0, 4)
    assert (rows[1]["pearson"], rows[1]["spearman"]) == (None, None)
