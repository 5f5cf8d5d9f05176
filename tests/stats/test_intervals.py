"""Intervals against published values, by hand, and by simulation."""

import math
import random

import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from delta.stats.intervals import (
    Interval,
    clustered_proportion,
    group_mean,
    standard_errors,
    wilson,
)


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
def test_wilsons_bounds_solve_their_equation(successes: int, n: int) -> None:
    share = successes / n
    for bound in wilson(share, n)[1:]:
        spread = bound * (1 - bound) / n
        # (share - bound)² = z² · bound · (1 - bound) / n; 3.8415 is the 95% point of chi-square.
        assert (share - bound) ** 2 == pytest.approx(3.841458821 * spread, abs=1e-9)


def test_an_interval_without_questions_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        wilson(0.5, 0)
    with pytest.raises(ValueError, match="at least one trial"):
        wilson(0.5, math.nan)
    with pytest.raises(ValueError, match="at least one question"):
        clustered_proportion([])


def test_with_one_sample_a_question_the_interval_is_wilsons() -> None:
    assert clustered_proportion([[True], [False], [False], [False]]) == wilson(0.25, 4)


def test_a_question_weighs_the_same_whatever_its_number_of_samples() -> None:
    assert clustered_proportion([[True] * 8, [False]]).value == 0.5


@pytest.mark.parametrize(("outcome", "low", "high"), [(False, 0.0, 0.2775), (True, 0.7225, 1.0)])
def test_questions_that_all_agree_count_as_questions_and_not_as_samples(
    outcome: bool, low: float, high: float
) -> None:
    interval = clustered_proportion([[outcome] * 16] * 10)
    assert interval.value == float(outcome)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_samples_that_repeat_each_other_add_nothing() -> None:
    agreeing = clustered_proportion([[True] * 4] * 20 + [[False] * 4] * 20)
    assert agreeing == pytest.approx(wilson(0.5, 40))


def test_uncorrelated_samples_count_nearly_as_independent_ones() -> None:
    # Each question is half right: together = (0 + 1/4) / (40 · 1/4 + 1/4) = 1/41, so 40 / together
    # is 1,640; there were no more than 160 answers.
    assert clustered_proportion([[True, True, False, False]] * 40) == wilson(0.5, 160)


def test_the_effective_number_of_trials_by_hand() -> None:
    # Means 1, 1/2, 1/2, 0: squares 1/2; together = (1/2 + 1) / (4 · 1/4 + 1) = 3/4.
    clusters = [[True, True], [True, False], [False, True], [False, False]]
    assert clustered_proportion(clusters) == pytest.approx(wilson(0.5, 4 / 0.75))


def test_a_score_of_few_correct_answers_counts_questions_and_not_answers() -> None:
    score = clustered_proportion([[True] + [False] * 15] + [[False] * 16] * 29)
    # Between questions the variance is that of 480 independent answers, so Wilson's upper bound
    # would be 1.2%. But one correct answer is too few to know; 30 questions would give 13%.
    assert score.value == pytest.approx(1 / 480)
    assert 0.08 < score.high < 0.13


def test_errors_by_hand() -> None:
    # Means 1 and 0 and 1/2: squares 1/2, over 2, over 3. Only the last question has answers that
    # differ: 1/4 over (4 - 1), summed, over 3 squared.
    result = standard_errors([[True] * 4, [False] * 4, [True, True, False, False]])
    assert result.between_questions == pytest.approx(math.sqrt(1 / 12))
    assert result.within_questions == pytest.approx(math.sqrt(1 / 12) / 3)


def test_one_answer_a_question_has_no_error_within_questions() -> None:
    result = standard_errors([[True], [False], [False], [False]])
    assert result.between_questions == pytest.approx(0.25)  # √(3/16 / 3)
    assert result.within_questions is None
    assert standard_errors([[True, False]]).between_questions is None


def test_the_error_between_questions_is_that_of_a_regression_with_clusters() -> None:
    chance = random.Random(1)
    clusters = [[chance.random() < p for _ in range(5)] for p in (0.1, 0.4, 0.5, 0.8, 0.9, 0.95)]
    answers = [float(answer) for cluster in clusters for answer in cluster]
    groups = [number for number, cluster in enumerate(clusters) for _ in cluster]
    fitted = sm.OLS(answers, [1.0] * 30).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    # Without correction: divided by 6 and not by 6 - 1.
    assert standard_errors(clusters).between_questions == pytest.approx(
        fitted.bse[0] * math.sqrt(6 / 5)
    )


def test_the_error_within_questions_is_that_of_an_analysis_of_variance() -> None:
    clusters = [[True, True, False], [False, False, True], [True, True, True]]
    within = sum(sum((a - sum(c) / 3) ** 2 for a in c) for c in clusters) / 6  # mean square
    assert standard_errors(clusters).within_questions == pytest.approx(math.sqrt(within / 9))
    # The same by F = between / within of a library: between is 3 times the means' variance.
    f = stats.f_oneway(*[[float(a) for a in c] for c in clusters]).statistic
    between = standard_errors(clusters).between_questions
    assert between is not None
    assert 9 * between**2 / within == pytest.approx(f)


@pytest.mark.parametrize(("successes", "n"), [(0, 30), (3, 30), (29, 30), (250, 1_319)])
def test_statsmodels_has_the_same_interval(successes: int, n: int) -> None:
    low, high = proportion_confint(successes, n, method="wilson")
    assert wilson(successes / n, n) == pytest.approx((successes / n, low, high))


def test_a_groups_score_by_hand() -> None:
    first, second = Interval(0.5, 0.44, 0.58), Interval(0.1, 0.02, 0.25)
    # Below √(0.06² + 0.08²) / 2 = 0.05, above √(0.08² + 0.15²) / 2 = 0.085.
    assert group_mean([first, second]) == pytest.approx((0.3, 0.25, 0.385))
    assert group_mean([first]) == pytest.approx(first)


def test_a_group_without_a_correct_answer_has_an_upper_bound() -> None:
    nothing = wilson(0.0, 10)
    value, low, high = group_mean([nothing] * 4)
    assert (value, low) == (0.0, 0.0)
    assert round(high, 4) == 0.1388  # 0.2775 / √4


def test_a_group_without_benchmarks_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one benchmark"):
        group_mean([])


def test_the_interval_is_wider_where_samples_of_a_question_agree() -> None:
    agreeing = clustered_proportion([[True] * 4] * 20 + [[False] * 4] * 20)
    mixed = clustered_proportion(
        [[True, True, True, False]] * 20 + [[True, False, False, False]] * 20
    )
    assert agreeing.value == mixed.value == 0.5
    assert mixed.high - mixed.low < 0.6 * (agreeing.high - agreeing.low)
