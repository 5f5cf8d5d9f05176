"""Sets cut again by drawn votes: the same statistic as plain code, and the counting beneath it."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest

from delta.analysis import bootstrap
from delta.analysis.bootstrap import topk_stability
from delta.analysis.reliability import PairRows
from delta.analysis.topk_sets import sort_pairs
from delta.analysis.votes import MEAN, Array, Places, Votes, vote_counts
from delta.judging.rubric import DIMENSIONS

FACTS, STRATEGY = DIMENSIONS[:2]
NAN = float("nan")


def cast(matrices: dict[str, Any]) -> Votes:
    arrays = {name: np.array(matrix, dtype=np.float64) for name, matrix in matrices.items()}
    return Votes(pl.DataFrame(), arrays)


def plainly(
    matrix: Array,
    both: PairRows,
    draw: Places,
    first: Places,
    sizes: list[int],
    resamples: int,
    random: np.random.Generator,
) -> Array:
    """The definition: each vote drawn, means subtracted and rounded, all pairs sorted."""
    number = vote_counts(matrix)[:, None]
    there = np.arange(matrix.shape[1])[None, :] < number
    found = []
    for _ in range(resamples):
        drawn = (random.random(matrix.shape) * number).astype(np.int64)
        taken = np.where(there, np.take_along_axis(matrix, drawn, axis=1), 0.0)
        mean = taken.sum(axis=1) / number[:, 0]
        again = sort_pairs(np.round(mean[both.chosen] - mean[both.rejected], 6), draw)
        found.append([100 * np.isin(first[:k], again[:k]).mean() for k in sizes])
    return np.array(found)


def world(unequal: bool, shared: bool) -> tuple[Votes, PairRows, Places, dict[str, Places]]:
    """60 pairs with deltas of their own, up to five votes a side, and their order by these."""
    random = np.random.default_rng(8)
    middle = random.normal(3, 0.8, (120, 1))
    votes = [np.clip(np.rint(middle + random.normal(0, 0.8, (120, 5))), 1, 5) for _ in range(2)]
    fewer = random.choice([1, 2, 4, 5], 120) if unequal else np.full(120, 5)
    for matrix in votes:
        matrix[np.arange(5)[None, :] >= fewer[:, None]] = NAN
    both = PairRows(np.arange(60), random.permutation(np.arange(60, 120)))
    if shared:
        both = PairRows(both.chosen // 3, both.rejected)
    draw = random.permutation(60)
    made = cast({FACTS: votes[0], STRATEGY: votes[1], MEAN: (votes[0] + votes[1]) / 2})
    mean = {name: np.nanmean(matrix, axis=1) for name, matrix in made.matrices.items()}
    delta = {name: np.round(one[both.chosen] - one[both.rejected], 6) for name, one in mean.items()}
    return made, both, draw, {name: sort_pairs(one, draw) for name, one in delta.items()}


# --- against the definition ---


@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_shares_are_spread_as_those_of_the_plain_definition(unequal: bool, shared: bool) -> None:
    votes, both, draw, firsts = world(unequal, shared)
    sizes = [5, 10, 30, 60]
    ours = topk_stability(votes, both, draw, firsts, sizes, 800, 1)
    for name, first in firsts.items():
        theirs = plainly(
            votes.matrices[name], both, draw, first, sizes, 400, np.random.default_rng(2)
        )
        spread = np.sqrt(ours[name].var(axis=0) / 800 + theirs.var(axis=0) / 400)
        apart = np.abs(ours[name].mean(axis=0) - theirs.mean(axis=0))
        assert (apart <= 4 * spread).all(), name
        assert ours[name].std(axis=0) == pytest.approx(theirs.std(axis=0), rel=0.15)
    assert (ours[MEAN][:, -1] == 100).all()  # all pairs are always all pairs


def test_the_same_draws_give_the_same_sets_as_a_sort() -> None:
    votes, both, draw, _ = world(unequal=True, shared=False)
    by_draw = np.argsort(draw)
    sides = PairRows(both.chosen[by_draw], both.rejected[by_draw])
    table = bootstrap.table([votes.matrices[FACTS]], [1], sides)
    for seed in range(50):
        (delta,) = bootstrap.deltas(table, np.random.default_rng(seed))
        sort = sort_pairs(delta.astype(np.float64), np.arange(60))
        for k in (1, 7, 25, 60):
            cut = bootstrap.kth(delta, k, near=seed)
            inside = bootstrap.mask(np.arange(0, 60, 2), 60)
            assert cut == delta[sort[k - 1]]
            assert bootstrap.again(delta, cut, k, inside) == inside[sort[:k]].sum()


def test_a_tied_pair_of_scattered_votes_stays_first_in_three_of_four_draws() -> None:
    """Chosen traces have the votes 1, 3 and 2, 2, so drawn means of 1, 2, 2 or 3, and of 2; the
    rejected ones have 1, 1. The pair that is first among equals loses its place in one draw of
    four: where its mean is 1, or where that of the other is 3.
    """
    votes = cast({FACTS: [[1, 3], [2, 2], [1, 1], [1, 1]]})
    for scattered in (0, 1):
        both = PairRows(np.array([scattered, 1 - scattered]), np.array([2, 3]))
        first = {FACTS: np.array([0, 1])}
        found = topk_stability(votes, both, np.array([0, 1]), first, [1], 2000, 0)[FACTS]
        assert found.mean() == pytest.approx(75, abs=4)


def test_the_shares_are_the_same_by_however_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    votes, both, draw, firsts = world(unequal=False, shared=False)
    monkeypatch.setattr(bootstrap, "AT_ONCE", 32)  # of 120 traces, so that threads are used
    pools: list[int] = []

    class Pool(ThreadPoolExecutor):
        def __init__(self, threads: int) -> None:
            pools.append(threads)
            super().__init__(threads)

    monkeypatch.setattr(bootstrap, "ThreadPoolExecutor", Pool)

    def found(cores: int) -> dict[str, Array]:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
        return topk_stability(votes, both, draw, firsts, [5, 30], 20, 1)

    alone = found(1)
    assert any(np.ptp(shares[:, 0]) > 0 for shares in alone.values())
    for cores in (2, 7, 40):
        again = found(cores)
        assert all((again[name] == shares).all() for name, shares in alone.items())
    assert pools == [1, 2, 7, 40]
    monkeypatch.setattr(bootstrap, "AT_ONCE", 121)
    found(2)
    assert pools[-1] == 1


# --- the draws ---


@pytest.mark.parametrize("number", [1, 2, 3, 5, 6, 7, 16])
def test_every_vote_is_drawn_alike_and_as_often_as_there_are_votes(number: int) -> None:
    times = bootstrap.times_drawn(number, 40_000, np.random.default_rng(3))
    assert times.shape == (number, 40_000)
    assert (times.sum(axis=0) == number).all()
    assert times.mean(axis=1) == pytest.approx(np.ones(number), abs=0.03)
    # Of the binomial distribution: number · 1/number · (1 − 1/number).
    assert times.var(axis=1) == pytest.approx(np.full(number, 1 - 1 / number), abs=0.04)


def test_all_27_draws_of_three_votes_are_equally_likely() -> None:
    drawn = np.array(list(bootstrap.below(3, 270_000, np.random.default_rng(4))))
    found = Counter(map(tuple, drawn.T.tolist()))
    assert set(found) == set(product(range(3), repeat=3))
    assert all(abs(number - 10_000) < 500 for number in found.values())


def test_draws_of_more_votes_than_16_bits_hold_are_independent() -> None:
    drawn = np.array(list(bootstrap.below(10, 50_000, np.random.default_rng(5)))).astype(np.float64)
    assert drawn.shape == (10, 50_000)
    assert np.abs(np.corrcoef(drawn) - np.eye(10)).max() < 0.03


# --- whole numbers ---


def test_means_of_unequal_numbers_of_votes_are_equal_in_the_common_unit() -> None:
    """(1, 2) has the mean of (1, 2, 1, 2) and not that of (1, 2, 2): the unit is 1/12."""
    matrix = np.array([[1, 2, NAN, NAN], [1, 2, 1, 2], [1, 2, 2, NAN]])
    table = bootstrap.table([matrix], [1], PairRows(np.array([0, 1]), np.array([2, 2])))
    assert [part.number for part in table.parts] == [2, 3, 4]
    (votes,) = table.votes
    assert votes.sum(axis=0).tolist() == [18, 20, 18]
    assert votes.dtype == np.int8


def test_a_type_is_as_wide_as_its_largest_number_needs() -> None:
    widths = {1: 8, 127: 8, 128: 16, 32_767: 16, 32_768: 32, 2**31: 64}
    assert {n: 8 * bootstrap.signed(n).itemsize for n in widths} == widths


def test_a_mean_that_not_all_traces_have_is_not_drawn() -> None:
    votes, both, draw, firsts = world(unequal=False, shared=False)
    votes.matrices[MEAN][7] = NAN
    assert list(topk_stability(votes, both, draw, firsts, [5], 3, 0)) == [FACTS, STRATEGY]


# --- counting instead of sorting ---


def test_the_kth_largest_is_found_from_anywhere() -> None:
    delta = np.array([3, -7, 3, 0, 12], dtype=np.int8)
    for near in (-100, -7, 0, 3, 5, 100):
        assert [bootstrap.kth(delta, k, near) for k in range(1, 6)] == [12, 3, 3, 0, -7]


def test_the_nth_true_value_is_found_in_a_long_row() -> None:
    there = np.random.default_rng(6).random(50_000) < 0.1
    places = np.flatnonzero(there)
    for number in (1, 2, 1000, len(places)):
        assert bootstrap.after(there, number) == places[number - 1] + 1
