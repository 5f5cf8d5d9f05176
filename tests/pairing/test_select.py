"""Deltas, the ranking (independent of row order), the cut, and the control groups."""

import hashlib
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delta.core.errors import InputError
from delta.core.schemas import PAIR, RATING, SELECTED
from delta.core.shuffle import shuffle_key
from delta.core.tables import frame_of
from delta.pairing.select import Quantile, SelectorParams, add_deltas, select, training_pairs

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


def test_quintiles_part_the_ranked_pairs_and_the_first_has_the_smallest_deltas() -> None:
    deltas = {name: n // 2 for n, name in enumerate("abcdefghij")}  # 0 0 1 1 2 2 3 3 4 4
    pairs, ratings = pairs_with_deltas(deltas)
    parts = []
    for number in range(1, 6):
        params = quintile(number, k=2)
        table, counts = select(params, pairs, ratings)
        parts.append(set(selected(table)))
        delta = number - 1.0
        assert counts["quantile"] == {"pairs": 2, "lowest_delta": delta, "highest_delta": delta}
        assert set(table["why"]) == {"selected", "another quantile"}
    assert parts == [set("ab"), set("cd"), set("ef"), set("gh"), set("ij")]


def test_k_pairs_of_a_quintile_are_drawn_as_random_draws_them() -> None:
    names = [f"pair {n}" for n in range(20)]
    pairs, ratings = pairs_with_deltas(dict.fromkeys(names, 2))
    table, _ = select(quintile(5, k=2), pairs, ratings)
    fifth = sorted(names, key=lambda name: shuffle_key(6, name))[:4]
    drawn = sorted(fifth, key=lambda name: shuffle_key(6, "random", name))[:2]
    assert set(selected(table)) == set(drawn)
    assert table["why"].value_counts().sort("why").rows() == [
        ("another quantile", 16),
        ("not drawn", 2),
        ("selected", 2),
    ]


def test_a_quintile_with_fewer_than_k_pairs_is_refused() -> None:
    pairs, ratings = pairs_with_deltas(dict.fromkeys("abcdefg", 1))
    with pytest.raises(InputError) as caught:
        select(quintile(1, k=3), pairs, ratings)
    assert str(caught.value) == (
        "selector.k = 3: only 7 of 7 pairs have a delta in factuality, so quantile 1 of 5 has 2; "
        "expected 1 to 2"
    )


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


@pytest.mark.parametrize("mode", ["all", "random"])
def test_without_ratings_pairs_are_in_seeded_order(mode: Mode) -> None:
    pairs, _ = rated_pairs({name: ([], []) for name in "abcdef"})
    k = None if mode == "all" else 3
    table, counts = select(selector(k, mode), pairs, frame_of([], RATING))
    names = () if mode == "all" else ("random",)
    assert selected(table) == sorted("abcdef", key=lambda name: shuffle_key(6, *names, name))[:k]
    assert (counts["candidates"], counts["candidates_are"]) == (6, "all pairs")
    assert (counts["mean_delta"], counts["mean_delta_selected"]) == ({}, None)
    assert counts["correlation_with_length_difference"] == {"pearson": None, "spearman": None}
    assert table["score"].to_list() == [None] * 6


@pytest.mark.parametrize("mode", ["top", "bottom", "length_matched"])
def test_without_ratings_a_ranking_is_an_error(mode: Mode) -> None:
    pairs, _ = rated_pairs({"a": ([], []), "b": ([], [])})
    with pytest.raises(InputError, match="only 0 of 2 pairs have a delta in factuality"):
        select(selector(1, mode), pairs, frame_of([], RATING))


def test_random_selects_pairs_with_a_delta_independently_of_its_value() -> None:
    names = [f"pair {n}" for n in range(8)]
    pairs, ratings = pairs_with_deltas({name: n % 5 for n, name in enumerate(names)})
    ratings = ratings.filter(~pl.col("trace_id").is_in(["pair 0+", "pair 1-"]))
    table, counts = select(selector(3, "random"), pairs, ratings)
    shuffled = sorted(names[2:], key=lambda name: shuffle_key(6, "random", name))
    assert selected(table) == shuffled[:3]
    assert reasons(table) == (
        dict.fromkeys(shuffled[:3], "selected")
        | dict.fromkeys(shuffled[3:], "not drawn")
        | dict.fromkeys(names[:2], "no delta")
    )
    assert (counts["candidates"], counts["candidates_are"]) == (6, "pairs with a delta")
    others, more = pairs_with_deltas({name: 4 - n % 5 for n, name in enumerate(names)})
    more = more.filter(~pl.col("trace_id").is_in(["pair 0+", "pair 1-"]))
    assert selected(select(selector(3, "random"), others, more)[0]) == shuffled[:3]


def test_random_order_is_not_the_order_of_ties() -> None:
    names = [f"pair {n}" for n in range(40)]
    pairs, ratings = pairs_with_deltas(dict.fromkeys(names, 1))
    top = set(selected(select(selector(20, "top"), pairs, ratings)[0]))
    random = set(selected(select(selector(20, "random"), pairs, ratings)[0]))
    assert 4 <= len(top & random) <= 16


def test_length_matched_takes_other_pairs_with_the_lengths_of_the_top() -> None:
    best = {"a": 4, "b": 4, "c": 3}
    rest = {"d": 2, "e": 1, "f": 1, "g": 0, "h": -1, "i": -2, "j": 0}
    lengths = {"a": 100, "b": -50, "c": 300}
    lengths |= {"d": 110, "e": 0, "f": 500, "g": 290, "h": -60, "i": -400, "j": 295}
    pairs, ratings = pairs_with_deltas(best | rest, lengths)
    ratings = ratings.filter(pl.col("trace_id") != "j+")  # the nearest to c, but without a delta
    table, counts = select(selector(3, "length_matched"), pairs, ratings)
    assert set(selected(table)) == {"d", "g", "h"}
    assert reasons(table) == (
        dict.fromkeys("abc", "reference")
        | dict.fromkeys("dgh", "selected")
        | dict.fromkeys("efi", "not matched")
        | {"j": "no delta"}
    )
    assert counts["matching"] == {
        "ks_distance": 0.333333,
        "mean_length_difference_reference": 116.6667,
    }
    assert counts["mean_length_difference_selected"] == 113.3333
    assert counts["mean_delta_selected"] == 0.3333


def test_length_matched_needs_2k_pairs_with_a_delta() -> None:
    pairs, ratings = pairs_with_deltas({"a": 4, "b": 3, "c": 2, "d": 1, "e": 0})
    assert select(selector(2, "length_matched"), pairs, ratings)[1]["selected"] == 2
    with pytest.raises(InputError) as caught:
        select(selector(3, "length_matched"), pairs, ratings)
    assert str(caught.value) == (
        "selector.k = 3: only 5 of 5 pairs have a delta in factuality, and length_matched takes "
        "2 × k; expected 1 to 2"
    )


def test_equal_lengths_on_both_sides_of_the_cut_match_perfectly() -> None:
    top = {f"top {n}": 3 for n in range(20)}
    low = {f"low {n}": 0 for n in range(60)}
    lengths = {name: 7 * n for n, name in enumerate(top)}
    lengths |= {name: 7 * (n % 20) + (n // 20) * 1000 for n, name in enumerate(low)}
    table, counts = select(selector(20, "length_matched"), *pairs_with_deltas(top | low, lengths))
    assert counts["matching"]["ks_distance"] == 0.0
    assert set(selected(table)) == {f"low {n}" for n in range(20)}


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
