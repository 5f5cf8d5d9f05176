"""Rank correlation and AUC, by hand and against libraries."""

import math
import random

import numpy as np
import pytest
from scipy import stats as scipy_stats

from delta.stats.intervals import NO_INTERVAL, wilson
from delta.stats.rank_correlation import auc, spearman


def test_spearman_by_hand() -> None:
    # Ranks differ by 1, 1, 0, 0: 1 - 6 · 2 / (4 · 15) = 0.8.
    result = spearman([1, 2, 3, 4], [20, 10, 30, 40])
    assert result.value == pytest.approx(0.8)
    assert (result.low, result.high) == (None, None)


def test_a_constant_side_has_no_correlation() -> None:
    assert spearman([1, 1, 1], [1, 2, 3]) == NO_INTERVAL
    assert spearman([1], [2]) == NO_INTERVAL


def test_two_points_have_no_interval() -> None:
    result = spearman([1, 2], [4, 3])
    assert result.value == pytest.approx(-1.0)
    assert result[1:] == (None, None)


@pytest.mark.parametrize("n", [9, 30, 200])
def test_scipy_has_the_same_correlation(n: int) -> None:
    chance = random.Random(n)
    ours = [float(chance.randint(1, 6)) for _ in range(n)]
    theirs = [value + chance.randint(0, 5) for value in ours]
    result, library = spearman(ours, theirs), scipy_stats.spearmanr(ours, theirs)
    assert result.value == pytest.approx(library.statistic)


def test_spearmans_interval_by_hand() -> None:
    # Ranks of the last two change places: 1 - 6 · 2 / (12 · 143) = 0.993007.
    result = spearman(range(12), [*range(10), 11, 10])
    assert result.low is not None
    half = 1.959964 * math.sqrt((1 + 0.993007**2 / 2) / 9)
    assert result.low == pytest.approx(math.tanh(math.atanh(0.993007) - half), abs=1e-5)


def test_auc_by_hand() -> None:
    # 5 beats 4 and 3; 4 ties with 4 and beats 3: (1 + 1 + 1/2 + 1) / 4.
    result = auc([5, 4, 4, 3], [True, True, False, False], ["a", "b", "c", "d"])
    assert result.value == 0.875


def test_without_both_outcomes_there_is_no_auc() -> None:
    assert auc([1, 2], [True, True], ["a", "b"]) == NO_INTERVAL
    assert auc([1, 2], [False, False], ["a", "b"]) == NO_INTERVAL
    assert auc([], [], []) == NO_INTERVAL


@pytest.mark.parametrize("seed", range(4))
def test_scipy_has_the_same_auc(seed: int) -> None:
    chance = random.Random(seed)
    right = [chance.random() < 0.6 for _ in range(50)]
    ratings = [float(chance.randint(1, 5) + is_right) for is_right in right]
    result = auc(ratings, right, [str(place // 5) for place in range(50)])
    rated, is_right = np.array(ratings), np.array(right)
    u = scipy_stats.mannwhitneyu(rated[is_right], rated[~is_right]).statistic
    assert result.value == pytest.approx(u / is_right.sum() / (~is_right).sum())


def test_with_one_trace_a_problem_the_variance_is_delongs() -> None:
    chance = random.Random(7)
    right = [place < 20 for place in range(45)]
    ratings = [chance.gauss(1.0 * is_right, 1) for is_right in right]
    result = auc(ratings, right, [str(place) for place in range(45)])
    ours, theirs = np.array(ratings[:20]), np.array(ratings[20:])
    above = ours[:, None] > theirs
    # DeLong, DeLong and Clarke-Pearson 1988: variance of each side's placement values.
    variance = above.mean(axis=1).var(ddof=1) / 20 + above.mean(axis=0).var(ddof=1) / 25
    value = float(above.mean())
    assert result == pytest.approx(wilson(value, value * (1 - value) / variance))


def test_traces_that_repeat_each_other_add_nothing() -> None:
    ratings, right = [5.0, 3, 4, 2, 5, 1, 2, 4], [True, True, True, False] * 2
    once = auc(ratings, right, list("abcdefgh"))
    thrice = auc(ratings * 3, right * 3, list("abcdefgh") * 3)
    alone = auc(ratings * 3, right * 3, [str(place) for place in range(24)])
    assert thrice == pytest.approx(once)
    narrow, wide = (np.ptp(np.array(interval[1:], float)) for interval in (alone, once))
    assert narrow < wide


def test_a_perfect_order_counts_problems_as_trials() -> None:
    right = [True, False] * 10
    result = auc(
        [float(is_right) for is_right in right], right, [str(place // 2) for place in range(20)]
    )
    assert tuple(result) == tuple(wilson(1.0, 10))


def test_a_missing_value_is_refused_and_not_ranked() -> None:
    with pytest.raises(ValueError, match="has no rank"):
        spearman([1, math.nan, 3], [1, 2, 3])
    with pytest.raises(ValueError, match="left out"):
        auc([1, math.nan], [True, False], ["a", "b"])


def test_sides_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="expected as many in both"):
        spearman([1, 2], [1])
    with pytest.raises(ValueError, match="2 ratings, 1 outcomes, 2 problems"):
        auc([1, 2], [True], ["a", "b"])
