"""Top sets from resampled votes: the statistic against its definition, the draws, the sets."""

from collections import Counter
from itertools import permutations, product
from typing import Any

import numpy as np
import polars as pl
import pytest

from delta.analysis.bootstrap import resampled_means, top_k, topk_stability
from delta.analysis.reliability import PairRows
from delta.analysis.votes import Array, Indices, Votes, vote_counts
from delta.judging.rubric import DIMENSIONS, MEAN

FACTS, STRATEGY = DIMENSIONS[:2]
NAN = float("nan")


def votes_of(matrices: dict[str, Any]) -> Votes:
    arrays = {name: np.array(matrix, dtype=np.float64) for name, matrix in matrices.items()}
    return Votes(pl.DataFrame(), arrays)


def by_definition(
    matrix: Array,
    pairs: PairRows,
    tie_order: Indices,
    first: Indices,
    sizes: list[int],
    resamples: int,
    random: np.random.Generator,
) -> Array:
    """Draw each vote, subtract and round the means, sort all pairs."""
    number = vote_counts(matrix)[:, None]
    is_vote = np.arange(matrix.shape[1])[None, :] < number
    result = []
    for _ in range(resamples):
        drawn = (random.random(matrix.shape) * number).astype(np.int64)
        taken = np.where(is_vote, np.take_along_axis(matrix, drawn, axis=1), 0.0)
        mean = taken.sum(axis=1) / number[:, 0]
        again = np.lexsort((tie_order, -np.round(mean[pairs.chosen] - mean[pairs.rejected], 6)))
        result.append([100 * np.isin(first[:k], again[:k]).mean() for k in sizes])
    return np.array(result)


def random_votes(unequal: bool, shared: bool) -> tuple[Votes, PairRows, Indices, dict[str, Array]]:
    """Return 60 pairs with up to five votes a side, and the deltas of their means."""
    random = np.random.default_rng(8)
    middle = random.normal(3, 0.8, (120, 1))
    votes = [np.clip(np.rint(middle + random.normal(0, 0.8, (120, 5))), 1, 5) for _ in range(2)]
    fewer = random.choice([1, 2, 4, 5], 120) if unequal else np.full(120, 5)
    for matrix in votes:
        matrix[np.arange(5)[None, :] >= fewer[:, None]] = NAN
    pairs = PairRows(np.arange(60), random.permutation(np.arange(60, 120)))
    if shared:
        pairs = PairRows(pairs.chosen // 3, pairs.rejected)
    tie_order = random.permutation(60)
    all_votes = votes_of({FACTS: votes[0], STRATEGY: votes[1], MEAN: (votes[0] + votes[1]) / 2})
    deltas = {}
    for name, matrix in all_votes.matrices.items():
        means = np.nanmean(matrix, axis=1)
        deltas[name] = np.round(means[pairs.chosen] - means[pairs.rejected], 6)
    return all_votes, pairs, tie_order, deltas


# --- against the definition ---


@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_the_stability_is_distributed_as_its_definition(unequal: bool, shared: bool) -> None:
    votes, pairs, tie_order, deltas = random_votes(unequal, shared)
    sizes = [5, 10, 30, 60]
    ours = topk_stability(votes, pairs, tie_order, deltas, sizes, 800, 1)
    rng = np.random.default_rng(2)
    for name, delta in deltas.items():
        first = np.lexsort((tie_order, -delta))
        theirs = by_definition(votes.matrices[name], pairs, tie_order, first, sizes, 400, rng)
        error = np.sqrt(ours[name].var(axis=0) / 800 + theirs.var(axis=0) / 400)
        difference = np.abs(ours[name].mean(axis=0) - theirs.mean(axis=0))
        assert (difference <= 4 * error).all(), name
        assert ours[name].std(axis=0) == pytest.approx(theirs.std(axis=0), rel=0.15)
    assert (ours[MEAN][:, -1] == 100).all()  # all pairs are always all pairs


def test_a_tied_pair_of_scattered_votes_stays_first_in_three_of_four_draws() -> None:
    """Chosen traces have the votes 1, 3 and 2, 2, so drawn means of 1, 2, 2 or 3, and of 2; the
    rejected ones have 1, 1. The pair that is first among equals loses its place in one draw of
    four: where its mean is 1, or where that of the other is 3.
    """
    votes = votes_of({FACTS: [[1, 3], [2, 2], [1, 1], [1, 1]]})
    for scattered in (0, 1):
        pairs = PairRows(np.array([scattered, 1 - scattered]), np.array([2, 3]))
        deltas = {FACTS: np.array([1.0, 1.0])}
        result = topk_stability(votes, pairs, np.array([0, 1]), deltas, [1], 2000, 0)[FACTS]
        assert result.mean() == pytest.approx(75, abs=4)


def test_a_mean_that_not_all_traces_have_is_not_drawn() -> None:
    votes, pairs, tie_order, deltas = random_votes(unequal=False, shared=False)
    votes.matrices[MEAN][7] = NAN
    assert list(topk_stability(votes, pairs, tie_order, deltas, [5], 3, 0)) == [FACTS, STRATEGY]


# --- the resampled votes ---


@pytest.mark.parametrize("number", [1, 2, 3, 5, 16])
def test_every_vote_is_drawn_with_the_same_chance(number: int) -> None:
    """In each matrix one vote is 1 and the others 0, so that the mean counts its draws."""
    matrices = [np.tile(np.eye(number)[vote], (40_000, 1)) for vote in range(number)]
    times = number * np.array(resampled_means(matrices, np.random.default_rng(3)))
    assert times.sum(axis=0) == pytest.approx(np.full(40_000, number))
    assert times.mean(axis=1) == pytest.approx(np.ones(number), abs=0.03)
    # The binomial variance: number · 1/number · (1 - 1/number).
    assert times.var(axis=1) == pytest.approx(np.full(number, 1 - 1 / number), abs=0.04)


def test_all_27_draws_of_three_votes_are_equally_likely() -> None:
    # Votes 1, 4, 16: a sum of three tells how often each was drawn, 3! / (n1! n2! n3!) times.
    matrix = np.tile([1.0, 4.0, 16.0], (270_000, 1))
    (means,) = resampled_means([matrix], np.random.default_rng(4))
    expected = Counter(map(sum, product((1, 4, 16), repeat=3)))
    drawn = Counter(np.rint(3 * means).astype(int).tolist())
    assert set(drawn) == set(expected)
    assert all(abs(drawn[total] - 10_000 * ways) < 500 * ways for total, ways in expected.items())


def test_dimensions_share_their_draws() -> None:
    matrix = np.random.default_rng(5).integers(1, 6, (100, 5)).astype(np.float64)
    first, second = resampled_means([matrix, 10 * matrix], np.random.default_rng(6))
    assert second == pytest.approx(10 * first)
    assert np.ptp(first - matrix.mean(axis=1)) > 0


# --- the top sets ---


def test_means_of_unequal_numbers_of_votes_tie() -> None:
    """(1, 2) has the mean of (1, 2, 1, 2) and not that of (1, 2, 2)."""
    means = np.array([np.mean(votes) for votes in ([1, 2], [1, 2, 1, 2], [1, 2, 2])])
    for order in permutations(range(3)):
        top = top_k(means, np.array(order), [1, 2, 3])
        assert top[0].tolist() == [False, False, True]
        assert top[1].tolist() == [order[0] < order[1], order[1] < order[0], True]
        assert top[2].all()


@pytest.mark.parametrize("seed", range(5))
def test_the_top_set_is_that_of_a_sort(seed: int) -> None:
    rng = np.random.default_rng(seed)
    deltas, tie_order = rng.integers(-8, 9, 60) / 5, rng.permutation(60)
    order = np.lexsort((tie_order, -deltas))
    sizes = [1, 7, 25, 60]
    for k, top in zip(sizes, top_k(deltas, tie_order, sizes), strict=True):
        assert set(np.flatnonzero(top)) == set(order[:k])
