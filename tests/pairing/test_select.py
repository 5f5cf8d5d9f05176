"""Deltas, the ranking (independent of row order), and the cut."""

import hashlib
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delta.core.errors import InputError
from delta.core.schemas import PAIR, SELECTED
from delta.core.shuffle import shuffle_key
from delta.pairing.select import SelectorParams, add_deltas, select, training_pairs
from tests.helpers.rated_pairs import (
    FACTS,
    Mode,
    Votes,
    pairs_with_deltas,
    rated_pairs,
    reasons,
    selected,
    selector,
)


def test_a_delta_is_the_difference_of_mean_votes() -> None:
    pairs, ratings = rated_pairs({"a": ([5, 4, 3], [1, 2]), "b": ([2], [4]), "c": ([3, 4], [3, 4])})
    table = add_deltas(pairs, ratings)
    assert table.columns == [*pairs.columns, "delta_factuality"]
    assert table["delta_factuality"].to_list() == [2.5, -2.0, 0.0]


def test_a_side_without_a_vote_gives_a_null_delta_and_not_zero() -> None:
    pairs, ratings = rated_pairs({"a": ([5], [1]), "b": ([], [1]), "c": ([5], []), "d": ([5], [1])})
    ratings = ratings.filter(pl.col("trace_id") != "d+")  # never rated
    table, counts = select(selector(1), pairs, ratings)
    assert dict(table.select("pair_id", "delta_factuality").iter_rows()) == {
        "a": 4.0,
        "b": None,
        "c": None,
        "d": None,
    }
    assert reasons(table) == {"a": "selected", "b": "no delta", "c": "no delta", "d": "no delta"}
    assert table.filter(pl.col("pair_id") != "a")["rank"].to_list() == [None] * 3
    assert (counts["pairs"], counts["without_delta"], counts["selected"]) == (4, 3, 1)


def test_the_largest_deltas_come_first_with_rank_and_counts() -> None:
    pairs, ratings = rated_pairs(
        {"a": ([2], [1]), "b": ([5], [1]), "c": ([1], [4]), "d": ([4], [1])},
        lengths={"a": 10, "b": 40, "c": -30, "d": 30},
    )
    table, counts = select(selector(2), pairs, ratings)
    assert table.select("pair_id", "rank", "selected", "why", "score").rows() == [
        ("b", 1, True, "selected", 4.0),
        ("d", 2, True, "selected", 3.0),
        ("a", 3, False, "below the cut", 1.0),
        ("c", 4, False, "below the cut", -3.0),
    ]
    assert table.columns == [*SELECTED.columns, "delta_factuality", "score"]
    assert counts == {
        "pairs": 4,
        "candidates": 4,
        "candidates_are": "pairs with a delta",
        "with_refused_votes": 0,
        "without_delta": 0,
        "selected": 2,
        "delta_at_cut": 3.0,
        "tied_at_cut": 1,
        "tied_and_selected": 1,
        "mean_delta": {"factuality": 1.25},
        "mean_delta_selected": 3.5,
        "outcomes_selected": {"correct>incorrect": 1.0},
        "mean_length_difference": 12.5,
        "mean_length_difference_selected": 35.0,
        "correlation_with_length_difference": {"pearson": 1.0, "spearman": 1.0},
        "mean_rating_selected": {"chosen": {"factuality": 4.5}, "rejected": {"factuality": 1.0}},
        "pairs_sha256": hashlib.sha256(b"b\nd").hexdigest(),
    }


def test_bottom_takes_the_smallest_deltas_and_no_nulls() -> None:
    pairs, ratings = rated_pairs(
        {"a": ([2], [1]), "b": ([5], [1]), "c": ([1], [4]), "d": ([], [1])}
    )
    table, _ = select(selector(2, "bottom"), pairs, ratings)
    assert selected(table) == ["c", "a"]


def test_bottom_is_the_reverse_of_top_also_among_equal_deltas() -> None:
    deltas = {f"pair {n}": n % 3 for n in range(20)}
    pairs, ratings = pairs_with_deltas(deltas)
    orders = {
        mode: select(selector(7, mode), pairs, ratings)[0].sort("rank")["pair_id"].to_list()
        for mode in ("top", "bottom")
    }
    assert orders["bottom"] == orders["top"][::-1]
    bottom, _ = select(selector(13, "bottom"), pairs, ratings)
    assert set(selected(bottom)) == deltas.keys() - set(orders["top"][:7])


def test_two_selections_of_the_same_pairs_are_the_same_training_pairs() -> None:
    pairs, ratings = pairs_with_deltas({"a": 4, "b": 3, "c": 1})
    top, top_counts = select(selector(2), pairs, ratings)
    fine, fine_counts = select(selector(2, by="factuality + 1"), pairs, ratings)
    assert not top.equals(fine)  # other scores
    assert training_pairs(top).equals(training_pairs(fine))
    assert top_counts["pairs_sha256"] == fine_counts["pairs_sha256"]
    assert (
        select(selector(2, "bottom"), pairs, ratings)[1]["pairs_sha256"]
        != (top_counts["pairs_sha256"])
    )


def test_ties_at_the_cut_are_ordered_by_the_seeded_hash_and_counted() -> None:
    names = [f"pair {n}" for n in range(10)]
    pairs, ratings = rated_pairs({"best": ([5], [1])} | {name: ([4], [2]) for name in names})
    table, counts = select(selector(4, seed=6), pairs, ratings)
    assert selected(table) == ["best", *sorted(names, key=lambda name: shuffle_key(6, name))[:3]]
    assert (counts["delta_at_cut"], counts["tied_at_cut"], counts["tied_and_selected"]) == (
        2,
        10,
        3,
    )
    assert selected(select(selector(4, seed=6), pairs.reverse(), ratings)[0]) == selected(table)
    assert selected(select(selector(4, seed=7), pairs, ratings)[0]) != selected(table)


def test_means_that_differ_only_by_rounding_tie() -> None:
    thirds: tuple[Votes, Votes] = ([1, 1, 2], [1])
    tenths: tuple[Votes, Votes] = ([2, 2, 3], [2])
    pairs, ratings = rated_pairs({"a": thirds, "b": tenths})
    assert select(selector(1), pairs, ratings)[1]["tied_at_cut"] == 2


def test_asking_for_more_pairs_than_have_a_delta_is_an_error() -> None:
    pairs, ratings = rated_pairs({"a": ([5], [1]), "b": ([5], [2]), "c": ([], [1])})
    for mode in ("top", "bottom", "random"):
        assert select(selector(2, mode), pairs, ratings)[1]["selected"] == 2
        with pytest.raises(InputError) as caught:
            select(selector(3, mode), pairs, ratings)
        assert str(caught.value) == (
            "selector.k = 3: only 2 of 3 pairs have a delta in factuality; expected 1 to 2"
        )


def test_an_unrated_dimension_is_an_error_that_names_the_rated_ones() -> None:
    pairs, ratings = rated_pairs({"a": ([5], [1])}, dimension="elegance")
    with pytest.raises(InputError) as caught:
        select(selector(1), pairs, ratings)
    assert str(caught.value) == (
        "selector.by = 'factuality': not rated: 'factuality' is none of elegance, mean"
    )


def test_ratings_of_two_judges_are_an_error() -> None:
    pairs, ratings = rated_pairs({"a": ([5], [1])})
    second = ratings.with_columns(judge=pl.lit("another"))
    with pytest.raises(InputError, match="judges another, rules; expected one judge"):
        select(selector(1), pairs, pl.concat([ratings, second]))


def test_a_new_dimension_needs_no_code() -> None:
    votes: dict[str, tuple[Votes, Votes]] = {"a": ([2], [1]), "b": ([5], [1])}
    pairs, ratings = rated_pairs(votes)
    _, more = rated_pairs({"a": ([5], [1]), "b": ([], [1])}, dimension="elegance")
    table, counts = select(selector(1), pairs, pl.concat([ratings, more]))
    assert table.columns[-3:] == ["delta_elegance", "delta_factuality", "score"]
    assert table["delta_elegance"].to_list() == [None, 4.0]
    assert counts["mean_delta"] == {"elegance": 4.0, "factuality": 2.5}


def test_the_score_may_be_a_mean_or_a_formula_and_is_null_if_a_part_is() -> None:
    votes: dict[str, tuple[Votes, Votes]] = {"a": ([2], [1]), "b": ([5], [1]), "c": ([5], [5])}
    pairs, ratings = rated_pairs(votes)
    _, more = rated_pairs(
        {"a": ([5], [1]), "b": ([], [1]), "c": ([1], [2])}, dimension="step_coherence"
    )
    both = pl.concat([ratings, more])

    def scores(formula: str) -> dict[str, float]:
        table, _ = select(selector(1, by=formula), pairs, both)
        return dict(table.sort("pair_id").select("pair_id", "score").iter_rows())

    assert scores("mean") == {"a": 2.5, "b": None, "c": -0.5}
    assert scores("mean - step_coherence") == {"a": -1.5, "b": None, "c": 0.5}
    assert scores("0.5 * factuality + step_coherence") == {"a": 4.5, "b": None, "c": -1.0}
    assert scores("-factuality") == {"a": -1.0, "b": -4.0, "c": 0.0}
    assert scores("1 / factuality") == {"a": 1.0, "b": 0.25, "c": None}


def test_all_takes_every_pair_with_null_deltas_last() -> None:
    pairs, ratings = rated_pairs({"a": ([2], [1]), "b": ([], [1]), "c": ([5], [1]), "d": ([1], [])})
    table, counts = select(selector(None, "all"), pairs, ratings)
    unrated = sorted("bd", key=lambda name: shuffle_key(6, name))
    assert selected(table) == ["c", "a", *unrated]
    assert set(reasons(table).values()) == {"selected"}
    assert (counts["selected"], counts["without_delta"], counts["delta_at_cut"]) == (4, 2, None)
    assert counts["candidates_are"] == "all pairs"


def test_pairs_with_refused_votes_are_counted() -> None:
    pairs, ratings = rated_pairs({"a": ([5], [1]), "b": ([4], [1]), "c": ([], [1])})
    refused = pl.when(pl.col("trace_id").is_in(["a+", "a-", "c+"])).then(1).otherwise(0)
    _, counts = select(selector(1), pairs, ratings.with_columns(refused=refused.cast(pl.Int64)))
    assert counts["with_refused_votes"] == 2


def test_outcomes_of_selected_pairs_are_counted_as_fractions() -> None:
    pairs, ratings = pairs_with_deltas({"a": 4, "b": 3, "c": 2, "d": 1})
    outcomes = pl.Series(["correct", "ungradable", "correct", "incorrect"])
    pairs = pairs.with_columns(chosen_outcome=outcomes.cast(PAIR.columns["chosen_outcome"]))
    _, counts = select(selector(3), pairs, ratings)
    assert counts["outcomes_selected"] == {
        "correct>incorrect": 0.6667,
        "ungradable>incorrect": 0.3333,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": None}, "k is None and mode 'top'; expected null with all, else a number"),
        ({"mode": "all"}, "k is 3 and mode 'all'; expected null with all"),
        (
            {"mode": "quantile"},
            "quantile is None and mode 'quantile'; expected number and of with mode quantile, else",
        ),
        ({"quantile": {"number": 1, "of": 5}}, "{'number': 1, 'of': 5} and mode 'top'; expected"),
        (
            {"mode": "quantile", "quantile": {"number": 6, "of": 5}},
            "number is 6 of 5; expected 1 to 5",
        ),
        ({"k": 0}, "greater than or equal to 1"),
        ({"mode": "best"}, "'top', 'bottom', 'random', 'length_matched', 'quantile' or 'all'"),
        ({"by": "clarity"}, "'clarity' is none of factuality, strategy_coherence, step_coherence"),
        ({"by": "factuality ** 2"}, "'factuality ** 2' is not accepted; expected numbers"),
    ],
)
def test_an_impossible_selector_is_refused(changes: dict[str, Any], message: str) -> None:
    plain: dict[str, Any] = {"mode": "top", "by": FACTS, "k": 3, "quantile": None, "seed": 6}
    with pytest.raises(ValueError, match="validation error") as caught:
        SelectorParams(**plain | changes)
    assert message in str(caught.value)


cast = st.lists(st.integers(1, 5), max_size=3)
pair_votes = st.dictionaries(st.text("abcdef", min_size=1), st.tuples(cast, cast), min_size=1)
modes: st.SearchStrategy[Mode] = st.sampled_from(["top", "bottom", "random", "length_matched"])


@settings(max_examples=60)
@given(pair_votes, st.randoms(use_true_random=False), modes)
def test_row_order_does_not_change_the_selection_and_the_best_are_selected(
    votes: dict[str, tuple[Votes, Votes]], random: Any, mode: Mode
) -> None:
    lengths = {name: len(name) * (-1) ** len(votes[name][0]) for name in votes}
    pairs, ratings = rated_pairs(votes, lengths=lengths)
    k = sum(bool(chosen and rejected) for chosen, rejected in votes.values()) // 2
    if k == 0:
        return
    table, counts = select(selector(k, mode), pairs, ratings)
    rows = list(range(pairs.height))
    random.shuffle(rows)
    reordered, same_counts = select(selector(k, mode), pairs[rows], ratings.reverse())
    assert reordered.drop_nulls("rank").equals(table.drop_nulls("rank"))
    assert same_counts == counts
    assert len(selected(table)) == counts["selected"] == k
    assert table["rank"].drop_nulls().to_list() == list(range(1, table["rank"].count() + 1))
    assert table.height == pairs.height
    assert table.filter("selected")["score"].null_count() == 0
    if mode in ("top", "bottom"):
        sign = 1 if mode == "top" else -1
        inside = [sign * d for d in table.filter("selected")["score"]]
        outside = table.filter(pl.col("why") == "below the cut")["score"]
        assert min(inside) >= max((sign * d for d in outside), default=-9)
