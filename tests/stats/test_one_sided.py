"""One-sided tests from an interval's own distribution, by hand and against SciPy."""

import math

import pytest
from scipy import stats as scipy_stats

from delta.stats.intervals import wilson
from delta.stats.one_sided import (
    Proportion,
    ProportionSum,
    Rule,
    StudentT,
    rule_ps,
    student_t_of_interval,
)

ONE_OF_TWO = ProportionSum((Proportion(1.0, 0.3, 50),))


def test_students_t_by_hand() -> None:
    value = StudentT(centre=3.0, standard_error=0.5, df=10)
    assert value.p_above(2.0) == pytest.approx(scipy_stats.t.sf(2, 10))
    assert value.p_below(2.0) == pytest.approx(scipy_stats.t.cdf(2, 10))
    assert value.p_above(3.0) == 0.5


def test_a_mean_is_tested_by_the_t_of_its_interval() -> None:
    deltas = [0.2, 0.9, -0.3, 0.4, 0.6, 0.1]
    interval = scipy_stats.ttest_1samp(deltas, 0).confidence_interval()
    value = sum(deltas) / 6
    ours = student_t_of_interval(value, interval.low, interval.high, 5)
    expected = scipy_stats.ttest_1samp(deltas, 0.1, alternative="greater").pvalue
    assert ours.p_above(0.1) == pytest.approx(expected)
    # A bound that was clipped says nothing of the error.
    assert student_t_of_interval(value, value - 0.01, interval.high, 5) == pytest.approx(ours)


def test_a_value_without_an_error_is_above_or_not() -> None:
    exact = StudentT(1.0, 0.0, 5)
    assert (exact.p_above(0.5), exact.p_below(0.5)) == (0.0, 1.0)
    assert (exact.p_above(1.0), exact.p_below(1.0)) == (1.0, 1.0)


@pytest.mark.parametrize("bound", [0.1, 0.25, 0.3, 0.4, 0.6])
def test_a_proportion_has_the_score_test(bound: float) -> None:
    z = (0.3 - bound) / math.sqrt(bound * (1 - bound) / 50)
    assert ONE_OF_TWO.p_above(bound) == pytest.approx(scipy_stats.norm.sf(z), abs=1e-9)
    assert ONE_OF_TWO.p_below(bound) == pytest.approx(scipy_stats.norm.cdf(z), abs=1e-9)


def test_the_ends_of_wilsons_interval_have_a_one_sided_p_of_2_5_percent() -> None:
    interval = wilson(0.3, 50)
    assert ONE_OF_TWO.p_above(interval.low) == pytest.approx(0.025)
    assert ONE_OF_TWO.p_below(interval.high) == pytest.approx(0.025)


def test_an_overlap_of_everything_or_nothing_is_no_certainty() -> None:
    everything = ProportionSum((Proportion(1.0, 1.0, 20),))
    assert everything.p_above(0.9) == pytest.approx(
        scipy_stats.norm.sf(0.1 / math.sqrt(0.09 / 20)), rel=1e-6
    )
    assert everything.p_above(1.0) == 0.5
    nothing = ProportionSum((Proportion(1.0, 0.0, 20),))
    assert nothing.p_below(0.1) == pytest.approx(everything.p_above(0.9), rel=1e-6)


def test_a_mean_of_equal_proportions_is_one_of_them() -> None:
    half = ProportionSum((Proportion(0.5, 0.3, 50), Proportion(0.5, 0.3, 50)))
    assert half.p_above(0.2) == pytest.approx(ONE_OF_TWO.p_above(0.2))


def test_a_difference_of_proportions_has_the_farthest_bounds() -> None:
    difference = ProportionSum((Proportion(1.0, 0.7, 40), Proportion(-1.0, 0.2, 40)))
    assert difference.value == pytest.approx(0.5)
    low = wilson(0.7, 40).low - wilson(0.2, 40).high
    assert difference.p_above(low) == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("rule", "centre", "verdict"),
    [
        ("above", 3.0, "holds"),
        ("above", -3.0, "refuted"),
        ("above", 0.5, "neither"),
        ("below", -3.0, "holds"),
        ("below", 3.0, "refuted"),
        ("equivalent", 0.0, "holds"),
        ("equivalent", 12.0, "refuted"),
        ("equivalent", -12.0, "refuted"),
        ("equivalent", 9.0, "neither"),
        ("not-below", 0.0, "holds"),
        ("not-below", -12.0, "refuted"),
        ("not-below", -9.0, "neither"),
    ],
)
def test_the_four_rules(rule: Rule, centre: float, verdict: str) -> None:
    # An error of 1 with many degrees of freedom; the margin is 9 on either side.
    ps = rule_ps(rule, StudentT(centre, 1.0, 1e6), margin=9.0)
    assert (ps.holds < 0.025, ps.refuted < 0.05) == (verdict == "holds", verdict == "refuted")


def test_a_precise_null_refutes_an_effect_of_interest() -> None:
    precise = StudentT(0.0, 0.1, 100)
    assert rule_ps("above", precise).refuted == 0.5
    assert rule_ps("above", precise, smallest_effect=1.0).refuted < 1e-9
    assert rule_ps("below", precise, smallest_effect=1.0).refuted < 1e-9


def test_equivalence_needs_both_of_its_tests() -> None:
    value = StudentT(0.5, 0.4, 30)
    ps = rule_ps("equivalent", value, margin=1.0)
    assert ps.holds == pytest.approx(max(value.p_above(-1.0), value.p_below(1.0)))
    assert ps.refuted == pytest.approx(min(1.0, 2 * value.p_above(1.0)))
