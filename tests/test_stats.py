"""Intervals against published values, by hand, and by simulation."""

import math
import random

import pytest

from delta.stats import clustered_share, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe 1998 (Statistics in Medicine 17), table I, method 3: Wilson without correction.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (0, 10, 0.0000, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0000),
        (1, 1, 0.2065, 1.0000),
    ],
)
def test_wilsons_interval_has_the_published_bounds(
    successes: int, n: int, low: float, high: float
) -> None:
    interval = wilson(successes / n, n)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)
    assert interval.value == successes / n


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 7), (1, 7), (3, 7), (7, 7), (40, 120), (119, 120)]
)
def test_its_bounds_solve_the_equation_they_come_from(successes: int, n: int) -> None:
    share = successes / n
    for bound in wilson(share, n)[1:]:
        spread = bound * (1 - bound) / n
        # (share - bound)² = z² · bound · (1 - bound) / n; 3.8415 is the 95 % point of chi-square.
        assert (share - bound) ** 2 == pytest.approx(3.841458821 * spread, abs=1e-9)


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        wilson(0.5, 0)
    with pytest.raises(ValueError, match="at least one trial"):
        wilson(0.5, math.nan)
    with pytest.raises(ValueError, match="at least one question"):
        clustered_share([])


def test_one_sample_a_question_is_wilsons_interval() -> None:
    assert clustered_share([[True], [False], [False], [False]]) == wilson(0.25, 4)


def test_a_question_weighs_the_same_whatever_its_number_of_samples() -> None:
    assert clustered_share([[True] * 8, [False]]).value == 0.5


@pytest.mark.parametrize(("outcome", "low", "high"), [(False, 0.0, 0.2775), (True, 0.7225, 1.0)])
def test_questions_that_all_agree_count_as_questions_and_not_as_samples(
    outcome: bool, low: float, high: float
) -> None:
    interval = clustered_share([[outcome] * 16] * 10)
    assert interval.value == float(outcome)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_samples_that_repeat_each_other_add_nothing() -> None:
    agreeing = clustered_share([[True] * 4] * 20 + [[False] * 4] * 20)
    single = wilson(0.5, 40)
    # 39 and not 40: the variance between questions is estimated from them.
    assert agreeing.low == pytest.approx(wilson(0.5, 39).low)
    assert agreeing.high - agreeing.low > single.high - single.low


def test_the_interval_is_wider_where_samples_of_a_question_agree() -> None:
    agreeing = clustered_share([[True] * 4] * 20 + [[False] * 4] * 20)
    mixed = clustered_share([[True, True, True, False]] * 20 + [[True, False, False, False]] * 20)
    assert agreeing.value == mixed.value == 0.5
    assert mixed.high - mixed.low < 0.6 * (agreeing.high - agreeing.low)


def covered(spread: float, runs: int, seed: int) -> float:
    """How often the interval holds the truth: 60 questions, 4 samples, questions' p by Beta."""
    chance = random.Random(seed)
    mean, hits = 0.3, 0
    for _ in range(runs):
        questions = [
            chance.betavariate(mean / spread, (1 - mean) / spread) if spread else mean
            for _ in range(60)
        ]
        interval = clustered_share([[chance.random() < p for _ in range(4)] for p in questions])
        hits += interval.low <= mean <= interval.high
    return hits / runs


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_95_of_100_intervals_hold_the_truth(spread: float) -> None:
    assert 0.93 <= covered(spread, runs=1_500, seed=1) <= 0.97
