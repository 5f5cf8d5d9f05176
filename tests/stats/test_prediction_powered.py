"""Few ratings by people and many by a judge, by hand and by simulation."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from delta.stats.prediction_powered import Array, RatedGroup, people_alone, prediction_powered

NONE = float("nan")
PROBLEMS = 300  # of a simulation
SIMULATIONS = 500  # of each of six settings


def one(people: list[float], judge_of_same: list[float], judge: list[float]) -> list[RatedGroup]:
    return [RatedGroup(1.0, np.array(people), np.array(judge_of_same), np.array(judge))]


def test_people_alone_are_a_t_test() -> None:
    ratings = np.array([3.0, 4, 2, 5, 4, 3])
    result = people_alone([RatedGroup(1.0, ratings, ratings, ratings)])
    assert result is not None
    interval = scipy_stats.ttest_1samp(ratings, 0).confidence_interval()
    assert result[:3] == pytest.approx((3.5, interval.low, interval.high))


def test_two_generators_on_other_problems_have_welchs_test() -> None:
    first, second = np.array([3.0, 4, 2, 5] + [NONE] * 4), np.array([NONE] * 4 + [1.0, 2, 2, 3])
    result = people_alone(
        [RatedGroup(1.0, first, first, first), RatedGroup(-1.0, second, second, second)]
    )
    assert result is not None
    welch = scipy_stats.ttest_ind(first[:4], second[4:], equal_var=False).confidence_interval()
    assert result[:3] == pytest.approx((1.5, welch.low, welch.high))


def test_two_generators_on_the_same_problems_are_paired() -> None:
    first, second = np.array([3.0, 4, 2, 5]), np.array([2.0, 3, 2, 4])
    result = people_alone(
        [RatedGroup(1.0, first, first, first), RatedGroup(-1.0, second, second, second)]
    )
    interval = scipy_stats.ttest_rel(first, second).confidence_interval()
    assert result is not None
    assert result[1:3] == pytest.approx((interval.low, interval.high))


def test_a_judge_that_is_always_half_a_point_too_kind_is_corrected_exactly() -> None:
    truth = np.tile([1.0, 2, 3, 4], 25)
    people = np.where(np.arange(100) < 20, truth, NONE)
    (result, alone) = (
        estimate([RatedGroup(1.0, people, people + 0.5, truth + 0.5)])
        for estimate in (prediction_powered, people_alone)
    )
    assert result is not None
    assert alone is not None
    # The judge differs from people by 0.5 on each of the 20: 3.0 - 0.5. Of the variance is left
    # what 100 units have in place of 20.
    assert result.value == pytest.approx(2.5)
    assert result.judge_weight == pytest.approx(1.0, abs=0.05)
    assert result.high - result.low < 0.5 * (alone.high - alone.low)


def test_a_judge_that_says_nothing_gets_no_weight_worth_naming() -> None:
    chance = np.random.default_rng(1)
    people = np.where(np.arange(2_000) < 200, chance.normal(3, 1, 2_000), NONE)
    judge = chance.normal(3, 1, 2_000)
    parts = [RatedGroup(1.0, people, np.where(np.isnan(people), NONE, judge), judge)]
    powered, alone = prediction_powered(parts), people_alone(parts)
    assert powered is not None
    assert alone is not None
    assert powered.judge_weight < 0.15
    assert powered.value == pytest.approx(alone.value, abs=0.02)


def test_with_few_units_the_judge_is_not_used() -> None:
    assert prediction_powered(one([1.0, 2], [1.0, 2], [1.0, 2])) is None
    assert people_alone(one([1.0, NONE], [1.0, NONE], [1.0, 2])) is None


def test_ratings_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="the judge did not"):
        people_alone(one([1.0, 2], [1.0, NONE], [1.0, 2]))
    with pytest.raises(ValueError, match="different numbers of units"):
        people_alone(one([1.0, 2], [1.0, 2], [1.0]))


def simulated_delta(rated: int, *, paired: bool, chance: np.random.Generator) -> list[RatedGroup]:
    """Return two generators on 1,000 problems; people rate `rated` traces in all.

    Ratings are 1 to 5. People prefer the first by 0.6 (the judge adds half a point to it), and
    judge and people correlate at 0.7 within a generator.
    """
    hard = chance.normal(0, 0.5, PROBLEMS)
    places = [chance.permutation(PROBLEMS)[: rated // 2] for _ in range(2)]
    parts = []
    for weight, mean, bias, place in zip([1.0, -1.0], [3.3, 2.7], [0.5, 0.0], places, strict=True):
        true = mean + hard + chance.normal(0, 0.8, PROBLEMS)
        judge = true + bias + chance.normal(0, 0.96, PROBLEMS)
        is_rated = np.isin(np.arange(PROBLEMS), places[0] if paired else place)
        people: Array = np.where(is_rated, true, NONE)
        parts.append(RatedGroup(weight, people, np.where(is_rated, judge, NONE), judge))
    return parts


def test_coverage_is_94_to_96_percent_under_a_biased_judge() -> None:
    chance = np.random.default_rng(1)
    covered, widths = {}, {}
    for rated in (50, 100, 200):
        for paired in (True, False):
            results = []
            for _ in range(SIMULATIONS):
                parts = simulated_delta(rated, paired=paired, chance=chance)
                powered, alone = prediction_powered(parts), people_alone(parts)
                assert powered is not None
                assert alone is not None
                width = (powered.high - powered.low) / (alone.high - alone.low)
                results.append((powered.low <= 0.6 <= powered.high, width))
            covered[rated, paired], widths[rated, paired] = np.mean(results, axis=0)
    assert 0.94 <= np.mean(list(covered.values())) <= 0.96
    assert all(0.93 <= fraction <= 0.97 for fraction in covered.values()), covered
    assert max(widths.values()) < 0.9  # narrower than people alone


def test_the_judge_alone_does_not_cover_the_truth() -> None:
    chance = np.random.default_rng(1)
    for _ in range(20):
        parts = simulated_delta(100, paired=True, chance=chance)
        of_judge = parts[0].judge - parts[1].judge
        interval = scipy_stats.ttest_1samp(of_judge, 0).confidence_interval()
        assert interval.low > 0.6
