"""Contrasts of runs on the same questions, by hand and against libraries."""

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.weightstats import DescrStatsW

from delta.stats.contrasts import (
    Contrast,
    CorrectCounts,
    Estimate,
    Term,
    contrast,
    format_difference,
    group_terms,
    to_contrast,
    trend_weights,
)


def two_runs(only_first: int, only_second: int, neither: int, both: int = 0) -> CorrectCounts:
    first = [1] * only_first + [0] * only_second + [0] * neither + [1] * both
    second = [0] * only_first + [1] * only_second + [0] * neither + [1] * both
    return CorrectCounts([first, second], samples=1)


def versus(answers: CorrectCounts) -> Contrast:
    return contrast(group_terms([answers], [1, -1]))


def test_a_difference_by_hand() -> None:
    result = versus(two_runs(only_first=9, only_second=0, neither=10))
    # One more answer, half for each side: 20 questions, sum 9, squares 9 + 1.
    # Mean 0.45, variance (10/20 - 0.45²) / 19 = 0.2975 / 19, error 0.125131; t with 18 is 2.100922.
    assert result.value == pytest.approx(9 / 19)
    assert result.low == pytest.approx(0.45 - 2.100922 * 0.125131, abs=1e-5)
    assert result.high == pytest.approx(0.45 + 2.100922 * 0.125131, abs=1e-5)
    assert result.p == pytest.approx(2 * scipy_stats.t.sf(0.45 / 0.125131, 18), rel=1e-4)


@pytest.mark.parametrize("agreeing", [0, 1])
def test_runs_without_a_differing_question_have_no_difference_and_no_certainty(
    agreeing: int,
) -> None:
    result = versus(CorrectCounts([[agreeing] * 30, [agreeing] * 30], samples=1))
    # Error √(1 / 31 / 30) = 0.032791, times t with 29: 2.045230.
    assert result[:4] == pytest.approx((0.0, -0.067065, 0.067065, 1.0), abs=1e-6)


def test_a_difference_of_zero_has_no_minus() -> None:
    assert format_difference(Contrast(-1e-17, -0.0004, 0.5, 1.0)) == "+0.0 [+0.0, +50.0]"
    assert format_difference(Contrast(-0.0006, -0.25, 0.0, 0.4)) == "-0.1 [-25.0, +0.0]"


def test_a_single_question_is_accepted() -> None:
    result = versus(two_runs(1, 0, 0))
    assert result.value == 1.0
    assert (result.low, result.high) == (-1.0, 1.0)
    assert result.p > 0.05


def test_with_many_samples_a_contrast_is_the_paired_t_test() -> None:
    chance = np.random.default_rng(1)
    right = np.array([[0.5], [0.52]]) + chance.normal(0, 0.05, (2, 40))
    counts = chance.binomial(10**6, right)
    result = versus(CorrectCounts(counts, samples=10**6))
    shares = counts / 10**6
    assert result.p == pytest.approx(scipy_stats.ttest_rel(*shares).pvalue, rel=1e-3)
    low, high = DescrStatsW(shares[0] - shares[1]).tconfint_mean()
    assert (result.low, result.high) == pytest.approx((low, high), rel=1e-3)


@pytest.mark.parametrize(
    ("only_first", "only_second"), [(5, 0), (6, 0), (8, 1), (10, 3), (12, 4), (20, 9), (4, 4)]
)
def test_two_runs_of_single_answers_agree_with_mcnemars_exact_test(
    only_first: int, only_second: int
) -> None:
    table = [[70, only_first], [only_second, 30]]
    exact = mcnemar(table, exact=True).pvalue
    tie = scipy_stats.binom.pmf(only_second, only_first + only_second, 0.5)
    result = versus(two_runs(only_first, only_second, 30, 70)).p
    # The exact test counts what came out in full, the mid-p test half; the truth lies between.
    assert exact - tie - 0.006 < result < exact + 0.006


@pytest.mark.parametrize("only_first", range(12))
def test_p_is_below_5_percent_exactly_where_the_interval_leaves_out_0(only_first: int) -> None:
    for only_second in range(6):
        result = versus(two_runs(only_first, only_second, 25))
        assert (result.p < 0.05) == (not result.low <= 0 <= result.high)
        assert result.low <= result.value <= result.high


def test_a_paired_contrast_is_narrower_than_two_separate_scores() -> None:
    ours, theirs = [1] * 50 + [0] * 50, [1] * 42 + [0] * 58
    assert versus(CorrectCounts([ours, theirs], 1)).p < 0.01
    assert versus(CorrectCounts([ours, theirs[::-1]], 1)).p > 0.3


def test_swapping_the_runs_changes_the_sign() -> None:
    value, low, high, p = versus(two_runs(7, 2, 30))[:4]
    assert versus(two_runs(2, 7, 30))[:4] == pytest.approx((-value, -high, -low, p))


def test_the_order_of_questions_does_not_matter() -> None:
    assert versus(CorrectCounts([[1, 0, 0, 1], [0, 0, 1, 0]], 1))[:4] == pytest.approx(
        versus(CorrectCounts([[0, 1, 1, 0], [1, 0, 0, 0]], 1))[:4]
    )


def test_a_groups_difference_is_the_mean_over_its_benchmarks_whatever_their_size() -> None:
    small, large = two_runs(2, 0, 8), two_runs(0, 10, 90)
    result = contrast(group_terms([small, large], [1, -1]))
    assert result.value == pytest.approx((0.2 - 0.1) / 2)


def test_a_groups_variance_is_the_sum_over_its_benchmarks() -> None:
    runs = two_runs(6, 2, 40)
    alone, twice = versus(runs), contrast(group_terms([runs, runs], [1, -1]))
    assert twice.value == pytest.approx(alone.value)
    # √2 less; and Student's t with 94 instead of 47 degrees of freedom.
    ratio = math.sqrt(2) * scipy_stats.t.ppf(0.975, 47) / scipy_stats.t.ppf(0.975, 94)
    assert (alone.high - alone.low) / (twice.high - twice.low) == pytest.approx(ratio)


def test_benchmarks_of_different_variance_have_welchs_degrees_of_freedom() -> None:
    chance = np.random.default_rng(2)
    tight, wide = chance.normal(0.5, 0.02, 12), chance.normal(0.4, 0.1, 9)
    scale = 10**6  # so many samples that the added answer is nothing
    first = CorrectCounts([tight * scale, np.zeros(12)], scale)
    second = CorrectCounts([wide * scale, np.zeros(9)], scale)
    result = contrast([Term(first, [1, -1]), Term(second, [-1, 1])])
    welch = scipy_stats.ttest_ind(tight, wide, equal_var=False)
    assert result.p == pytest.approx(welch.pvalue, rel=1e-3)
    low, high = welch.confidence_interval()
    assert (result.low, result.high) == pytest.approx((low, high), rel=1e-3)


def test_slopes_by_hand_and_by_least_squares() -> None:
    assert trend_weights([1, 2, 3]) == [-0.5, 0.0, 0.5]
    assert trend_weights([1, 2, 3, 4]) == pytest.approx([-0.3, -0.1, 0.1, 0.3])
    scores, places = [0.2, 0.5, 0.4, 0.9], [1.0, 2.0, 5.0, 10.0]
    rise = sum(w * s for w, s in zip(trend_weights(places), scores, strict=True))
    assert rise == pytest.approx(scipy_stats.linregress(places, scores).slope)


def test_a_trend_by_hand() -> None:
    answers = CorrectCounts([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]], samples=1)
    # Scores 0, 1/4, 1/2, 3/4: a quarter each step.
    assert contrast(group_terms([answers], trend_weights([1, 2, 3, 4]))).value == pytest.approx(
        0.25
    )


def test_a_trend_is_significant_where_runs_rise_and_not_where_they_are_shuffled() -> None:
    rising = np.array([[1] * right + [0] * (60 - right) for right in (10, 15, 20, 25)])
    weights = trend_weights([1, 2, 3, 4])
    assert contrast(group_terms([CorrectCounts(rising, 1)], weights)).p < 0.001
    assert contrast(group_terms([CorrectCounts(rising[[1, 3, 0, 2]], 1)], weights)).p > 0.3


def test_differences_of_sets_by_hand() -> None:
    answers = CorrectCounts([[1, 1], [0, 1], [0, 0], [1, 0]], samples=1)
    result = contrast(group_terms([answers], [0.5, -0.5, -0.5, 0.5]))
    assert result.value == pytest.approx(0.75 - 0.25)


def test_an_interaction_is_a_difference_of_two_trends_on_the_same_questions() -> None:
    counts = [[1] * right + [0] * (40 - right) for right in (5, 10, 15, 20, 20, 20, 20, 20)]
    rise = trend_weights([1, 2, 3, 4])
    weights = [*rise, *(-weight for weight in rise)]
    result = contrast(group_terms([CorrectCounts(counts, 1)], weights))
    assert result.value == pytest.approx(5 / 40)
    assert result.p < 0.01


def test_groups_of_different_questions_are_compared() -> None:
    first, second = [two_runs(8, 0, 12)], [two_runs(1, 1, 18)]
    result = contrast(group_terms(first, [1, -1]) + group_terms(second, [-1, 1]))
    assert result.value == pytest.approx(0.4)
    assert contrast(group_terms(first, [-1, 1])).value == pytest.approx(-0.4)


def test_more_samples_depend_less_on_the_pseudo_answer() -> None:
    silent = [[0] * 30, [0] * 30]
    # 1 / 16 of a question: 30.0625 of them.
    half = 2.04523 * math.sqrt(1 / 16 / 30.0625 / 29.0625)
    assert versus(CorrectCounts(silent, 16)).high == pytest.approx(half, abs=1e-6)


def test_one_sided_p_by_hand() -> None:
    # t = (0.3 - 0.1) / 0.1 = 2 with 50 degrees of freedom.
    result = to_contrast(Estimate(value=0.3, shrunken=0.3, variance=0.01, df=50, maximum=1.0))
    assert result.p_above(0.1) == pytest.approx(scipy_stats.t.sf(2, 50))
    assert result.p_below(0.1) == pytest.approx(scipy_stats.t.cdf(2, 50))
    assert result.p == pytest.approx(2 * result.p_above(0.0))


def test_a_bound_of_the_interval_has_a_one_sided_p_of_2_5_percent() -> None:
    result = versus(two_runs(9, 4, 60))
    assert result.p_above(result.low) == pytest.approx(0.025)
    assert result.p_below(result.high) == pytest.approx(0.025)


@pytest.mark.parametrize("bound", [-0.2, 0.0, 0.1])
def test_one_sided_p_is_that_of_scipys_t_test(bound: float) -> None:
    chance = np.random.default_rng(4)
    counts = chance.binomial(10**6, np.array([[0.5], [0.4]]) + chance.normal(0, 0.1, (2, 30)))
    result, difference = versus(CorrectCounts(counts, 10**6)), (counts[0] - counts[1]) / 10**6
    above = scipy_stats.ttest_1samp(difference, bound, alternative="greater").pvalue
    assert result.p_above(bound) == pytest.approx(above, rel=1e-2)
    assert result.p_below(bound) == pytest.approx(1 - above, rel=1e-2)


def test_a_contrast_that_was_read_from_a_file_cannot_be_tested() -> None:
    with pytest.raises(ValueError, match="without its distribution"):
        Contrast(0.1, 0.0, 0.2, 0.05).p_above(0.0)


def test_a_missing_answer_is_refused_and_not_counted_as_wrong() -> None:
    with pytest.raises(ValueError, match="not all within 0 to 1"):
        versus(CorrectCounts(np.array([[1, None], [0, 1]], dtype=object), 1))


def test_invalid_weights_and_answers_are_refused() -> None:
    answers = two_runs(1, 1, 1)
    with pytest.raises(ValueError, match="weights sum to 2; expected 0"):
        contrast([Term(answers, [1, 1])])
    with pytest.raises(ValueError, match="2, 3\\) and 3 weights"):
        contrast([Term(answers, [1, -1, 0])])
    with pytest.raises(ValueError, match="not all within 0 to 1"):
        versus(CorrectCounts([[2], [0]], 1))
    with pytest.raises(ValueError, match="at least one benchmark"):
        contrast([])
    with pytest.raises(ValueError, match="two different ones"):
        trend_weights([3, 3])
