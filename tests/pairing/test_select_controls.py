"""Random pairs, pairs of a quintile, pairs matched in length, and pairs without ratings."""

import polars as pl
import pytest

from delta.core.errors import InputError
from delta.core.schemas import RATING
from delta.core.shuffle import shuffle_key
from delta.core.tables import frame_of
from delta.pairing.select import select
from tests.helpers.rated_pairs import (
    Mode,
    pairs_with_deltas,
    quintile,
    rated_pairs,
    reasons,
    selected,
    selector,
)


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
