"""Pairs of two generators, their deltas, and a ranking that no file order can change."""

import hashlib
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delta.errors import InputError
from delta.order import draw_order
from delta.pair import PairingParams, pair
from delta.select import SelectorParams, deltas, select

Votes = list[int]
PROBLEMS = pl.DataFrame({"problem_id": ["p.0", "p.1", "p.2", "p.3"]})


def pairing(per_problem: int = 1, seed: int = 5) -> PairingParams:
    return PairingParams(chosen="strong", rejected="weak", per_problem=per_problem, seed=seed)


def traces(generator: str, texts: dict[str, list[str]]) -> pl.DataFrame:
    """Rows problem → its samples' texts."""
    rows = [
        {"trace_id": f"{problem}/{generator}/{sample}", "problem_id": problem, "text": text}
        for problem, samples in texts.items()
        for sample, text in enumerate(samples)
    ]
    return pl.DataFrame(rows)


def many(generator: str) -> pl.DataFrame:
    names = PROBLEMS["problem_id"].to_list()
    return traces(generator, {p: [f"{generator} {p} {n}" for n in range(4)] for p in names})


def by(k: int, order: Literal["top", "bottom"] = "top", seed: int = 6) -> SelectorParams:
    return SelectorParams(dimension="clarity", k=k, order=order, seed=seed)


def rated(
    votes: dict[str, tuple[Votes, Votes]], dimension: str = "clarity"
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Pairs by name, and the ratings of both sides in one dimension."""
    pairs = pl.DataFrame(
        [
            {
                "pair_id": name,
                "problem_id": f"problem of {name}",
                "chosen_id": f"{name}+",
                "rejected_id": f"{name}-",
                "recipe": "generators strong > weak",
            }
            for name in votes
        ]
    )
    rows = [
        {"trace_id": f"{name}{sign}", "dimension": dimension, "votes": cast, "refused": 0}
        for name, sides in votes.items()
        for sign, cast in zip("+-", sides, strict=True)
    ]
    # Without it a column of empty lists has no type.
    return pairs, pl.DataFrame(rows, schema_overrides={"votes": pl.List(pl.Int64)})


def selected(table: pl.DataFrame) -> list[str]:
    return table.filter("selected").sort("rank")["pair_id"].to_list()


def test_a_pair_is_of_one_problem_and_of_two_generators() -> None:
    pairs, counts = pair(pairing(per_problem=4), PROBLEMS, many("strong"), many("weak"))
    assert counts == {"wanted": 16, "pairs": 16, "dropped": {}}
    for row in pairs.iter_rows(named=True):
        assert row["chosen_id"].startswith(f"{row['problem_id']}/strong/")
        assert row["rejected_id"].startswith(f"{row['problem_id']}/weak/")
        assert row["pair_id"] == f"{row['chosen_id']}>{row['rejected_id']}"
    assert pairs["chosen_id"].n_unique() == 16
    assert pairs["rejected_id"].n_unique() == 16


def test_what_makes_no_pair_is_counted_by_reason_and_the_counts_add_up() -> None:
    strong = traces("strong", {"p.0": ["a", "b"], "p.1": ["c", "c"], "p.2": ["d", "i"]})
    weak = traces("weak", {"p.0": ["e", "f"], "p.1": ["c", "c"], "p.3": ["g", "h"]})
    pairs, counts = pair(pairing(per_problem=2), PROBLEMS, strong, weak)
    assert pairs["problem_id"].to_list() == ["p.0", "p.0"]
    assert counts == {
        "wanted": 8,
        "pairs": 2,
        "dropped": {"equal texts": 2, "no trace of weak": 2, "no trace of strong": 2},
    }


def test_no_pair_at_all_is_an_error() -> None:
    same = {"p.0": ["a"]}
    with pytest.raises(InputError, match=r"none of 4 pairs came about.*'equal texts': 1"):
        pair(pairing(), PROBLEMS, traces("strong", same), traces("weak", same))


def test_a_generator_is_never_paired_with_itself() -> None:
    with pytest.raises(ValueError, match="two different generators"):
        PairingParams(chosen="weak", rejected="weak", per_problem=1, seed=5)


def test_the_draw_hangs_on_the_seed_and_not_on_the_order_of_rows() -> None:
    first, _ = pair(pairing(), PROBLEMS, many("strong"), many("weak"))
    shuffled = [
        many(name).sample(fraction=1.0, shuffle=True, seed=3) for name in ("strong", "weak")
    ]
    assert pair(pairing(), PROBLEMS, *shuffled)[0].equals(first)
    backwards, _ = pair(pairing(), PROBLEMS.reverse(), *shuffled)
    assert backwards.sort("pair_id").equals(first.sort("pair_id"))
    drawn = {tuple(pair(pairing(seed=n), PROBLEMS, *shuffled)[0]["pair_id"]) for n in range(5)}
    assert len(drawn) == 5


def test_the_drawing_order_is_that_of_a_published_hash() -> None:
    assert draw_order(6, "x") == hashlib.sha256(b"6\x00x").hexdigest()
    assert draw_order(6, "x")[:8] != draw_order(7, "x")[:8]
    assert draw_order(1, "2", "3") != draw_order(12, "3")


def test_deltas_by_hand() -> None:
    pairs, ratings = rated({"a": ([5, 4, 3], [1, 2]), "b": ([2], [4]), "c": ([3, 4], [3, 4])})
    table = deltas(pairs, ratings)
    assert table.columns == [*pairs.columns, "delta_clarity"]
    assert table["delta_clarity"].to_list() == [2.5, -2.0, 0.0]


def test_a_side_without_a_vote_gives_null_and_not_zero() -> None:
    pairs, ratings = rated({"a": ([5], [1]), "b": ([], [1]), "c": ([5], []), "d": ([5], [1])})
    ratings = ratings.filter(pl.col("trace_id") != "d+")  # never rated at all
    table, counts = select(by(1), pairs, ratings)
    assert dict(table.select("pair_id", "delta_clarity").iter_rows()) == {
        "a": 4.0,
        "b": None,
        "c": None,
        "d": None,
    }
    assert dict(table.select("pair_id", "why").iter_rows()) == {
        "a": "selected",
        "b": "no delta",
        "c": "no delta",
        "d": "no delta",
    }
    assert table.filter(pl.col("pair_id") != "a")["rank"].to_list() == [None] * 3
    assert (counts["pairs"], counts["without_delta"], counts["selected"]) == (4, 3, 1)


def test_the_largest_deltas_come_first_with_rank_and_counts() -> None:
    pairs, ratings = rated({"a": ([2], [1]), "b": ([5], [1]), "c": ([1], [4]), "d": ([4], [1])})
    table, counts = select(by(2), pairs, ratings)
    assert table.select("pair_id", "rank", "selected", "why", "delta_clarity").rows() == [
        ("b", 1, True, "selected", 4.0),
        ("d", 2, True, "selected", 3.0),
        ("a", 3, False, "below the cut", 1.0),
        ("c", 4, False, "below the cut", -3.0),
    ]
    assert counts == {
        "pairs": 4,
        "with_refused_votes": 0,
        "without_delta": 0,
        "selected": 2,
        "delta_at_cut": 3.0,
        "tied_at_cut": 1,
        "tied_and_selected": 1,
        "mean_delta": {"clarity": 1.25},
        "mean_delta_selected": 3.5,
    }


def test_bottom_takes_the_smallest_deltas_and_still_no_nulls() -> None:
    pairs, ratings = rated({"a": ([2], [1]), "b": ([5], [1]), "c": ([1], [4]), "d": ([], [1])})
    table, _ = select(by(2, "bottom"), pairs, ratings)
    assert selected(table) == ["c", "a"]


def test_ties_at_the_cut_are_ordered_by_the_seeded_hash_and_counted() -> None:
    names = [f"pair {n}" for n in range(10)]
    pairs, ratings = rated({"best": ([5], [1])} | {name: ([4], [2]) for name in names})
    table, counts = select(by(4, seed=6), pairs, ratings)
    assert selected(table) == ["best", *sorted(names, key=lambda name: draw_order(6, name))[:3]]
    assert (counts["delta_at_cut"], counts["tied_at_cut"], counts["tied_and_selected"]) == (
        2,
        10,
        3,
    )
    assert selected(select(by(4, seed=6), pairs.reverse(), ratings)[0]) == selected(table)
    assert selected(select(by(4, seed=7), pairs, ratings)[0]) != selected(table)


def test_means_that_differ_only_by_rounding_tie() -> None:
    thirds: tuple[Votes, Votes] = ([1, 1, 2], [1])
    tenths: tuple[Votes, Votes] = ([2, 2, 3], [2])
    pairs, ratings = rated({"a": thirds, "b": tenths})
    assert select(by(1), pairs, ratings)[1]["tied_at_cut"] == 2


def test_asking_for_more_pairs_than_have_a_delta_is_an_error() -> None:
    pairs, ratings = rated({"a": ([5], [1]), "b": ([5], [2]), "c": ([], [1])})
    assert select(by(2), pairs, ratings)[1]["selected"] == 2
    with pytest.raises(InputError) as caught:
        select(by(3), pairs, ratings)
    assert str(caught.value) == (
        "selector.k = 3: only 2 of 3 pairs have a delta in clarity; allowed: 1 to 2"
    )


def test_a_dimension_that_was_not_rated_is_an_error_that_names_those_that_were() -> None:
    pairs, ratings = rated({"a": ([5], [1])}, dimension="elegance")
    with pytest.raises(InputError) as caught:
        select(by(1), pairs, ratings)
    assert str(caught.value) == "selector.dimension = 'clarity' was not rated; allowed: elegance"


def test_a_new_dimension_needs_no_code() -> None:
    votes: dict[str, tuple[Votes, Votes]] = {"a": ([2], [1]), "b": ([5], [1])}
    pairs, ratings = rated(votes)
    _, more = rated({"a": ([5], [1]), "b": ([], [1])}, dimension="elegance")
    table, counts = select(by(1), pairs, pl.concat([ratings, more]))
    assert table.columns[-2:] == ["delta_clarity", "delta_elegance"]
    assert table["delta_elegance"].to_list() == [None, 4.0]
    assert counts["mean_delta"] == {"clarity": 2.5, "elegance": 4.0}


cast = st.lists(st.integers(1, 5), max_size=3)
toys = st.dictionaries(st.text("abcdef", min_size=1), st.tuples(cast, cast), min_size=1)


@settings(max_examples=60, deadline=None)
@given(toys, st.randoms(use_true_random=False), st.sampled_from(["top", "bottom"]))
def test_no_order_of_rows_changes_the_selection_and_the_best_are_in_it(
    votes: dict[str, tuple[Votes, Votes]], random: Any, order: Literal["top", "bottom"]
) -> None:
    pairs, ratings = rated(votes)
    k = sum(bool(chosen and rejected) for chosen, rejected in votes.values()) // 2
    if k == 0:
        return
    table, counts = select(by(k, order), pairs, ratings)
    places = list(range(pairs.height))
    random.shuffle(places)
    again = select(by(k, order), pairs[places], ratings.reverse())
    assert again[0].drop_nulls("rank").equals(table.drop_nulls("rank"))
    assert again[1] == counts
    sign = 1 if order == "top" else -1
    inside = [sign * d for d in table.filter("selected")["delta_clarity"]]
    outside = table.filter(pl.col("why") == "below the cut")["delta_clarity"]
    assert len(inside) == k
    assert min(inside) >= max((sign * d for d in outside), default=-9)
    assert table["rank"].drop_nulls().to_list() == list(range(1, table["rank"].count() + 1))
    assert table.height == pairs.height
