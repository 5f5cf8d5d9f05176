"""Smallest differences and needed sizes, by hand, by simulation and against statsmodels."""

import math

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from bench.power import rows
from delta.stats import power
from delta.stats.contrasts import CorrectCounts, contrast, group_terms
from delta.stats.power import (
    ASSUMED,
    GREEDY,
    POLICY_AND_BASE,
    TWO_POLICIES,
    Benchmark,
    Noise,
    error,
    half_width,
    questions_for,
    samples_for,
    seeds_for,
    smallest_difference,
    standard_errors_seen,
)
from delta.stats.seeds import SeedVariance, contrast_with_seeds

# Two runs at 50% whose difference on a question has the variance 2 · 0.54 · 0.25 = 0.27.
ANSWERS = Noise(within=0.54, within_untrained=0.54, change=0.0, seed_sd=0.0, seed_df=math.inf)
# Seeds with a standard deviation of 1 point, known from ten configurations of three.
SEEDS = ANSWERS._replace(seed_sd=0.01, seed_df=20)


def at_half(questions: int, samples: int = 1) -> list[Benchmark]:
    return [Benchmark(0.5, questions, samples)]


@pytest.mark.parametrize(("questions", "points"), [(415, 5), (1_153, 3), (2_594, 2)])
def test_the_questions_of_a_paired_comparison_at_50_percent(questions: int, points: int) -> None:
    width = half_width(at_half(questions), ANSWERS, 1, TWO_POLICIES)
    assert 100 * width == pytest.approx(points, rel=0.01)


@pytest.mark.parametrize(("questions", "points"), [(600, 4.3), (1_200, 3.5)])
def test_three_seeds_against_three_that_vary_by_1_point(questions: int, points: float) -> None:
    seen = smallest_difference(at_half(questions), SEEDS, 3, TWO_POLICIES)
    assert 100 * seen == pytest.approx(points, abs=0.05)


def test_the_error_by_hand() -> None:
    # 2 · 0.4 · 0.25 = 0.2 for one answer, and 0.05² = 0.0025 for the training: 0.2025 / 2025.
    assert error(at_half(2_025), ASSUMED, 1, POLICY_AND_BASE).variance == pytest.approx(0.01**2)
    # 16 answers: 0.0125 + 0.0025 = 0.015 of 150 questions.
    assert error(at_half(150, 16), ASSUMED, 1, POLICY_AND_BASE).variance == pytest.approx(0.01**2)
    # The mean of two independent benchmarks: half the variance of one.
    both = at_half(2_025) + at_half(150, 16)
    assert error(both, ASSUMED, 1, POLICY_AND_BASE).variance == pytest.approx(0.01**2 / 2)
    # Greedy: the seeds' part 0.12 · 0.25 / 2 = 0.015 of the policy alone, and 0.26² = 0.0676.
    assert error(at_half(826), GREEDY, 2, POLICY_AND_BASE).variance == pytest.approx(0.01**2)
    # Seeds: 0.01² / 4 for the policy and nothing for the base; its answers count four times.
    four = error(at_half(100), SEEDS, 4, POLICY_AND_BASE)
    assert four.by_seeds == pytest.approx(0.01**2 / 4)
    assert four.variance - four.by_seeds == pytest.approx(0.54 * 0.25 * (1 + 1 / 4) / 100)


@pytest.mark.parametrize("df", [4, 20, 100])
def test_statsmodels_has_the_same_power(df: int) -> None:
    effect = TTestPower().solve_power(nobs=df + 1, alpha=0.05, power=0.8)
    assert standard_errors_seen(df) == pytest.approx(effect * math.sqrt(df + 1), rel=1e-3)


def test_needed_sizes_are_the_smallest_that_see_the_difference() -> None:
    (questions,) = questions_for(0.03, at_half(600), SEEDS, 5, TWO_POLICIES) or [0]
    seen = [
        smallest_difference(at_half(size), SEEDS, 5, TWO_POLICIES)
        for size in (questions - 1, questions)
    ]
    assert seen[1] <= 0.03 < seen[0]
    seeds = seeds_for(0.03, at_half(600), SEEDS, TWO_POLICIES)
    samples = samples_for(0.035, at_half(600), SEEDS, 3, TWO_POLICIES)
    assert (seeds, samples) == (7, 3)
    assert smallest_difference(at_half(600), SEEDS, 7, TWO_POLICIES) <= 0.03
    assert smallest_difference(at_half(600), SEEDS, 6, TWO_POLICIES) > 0.03


def test_no_number_of_questions_outweighs_seeds_that_vary() -> None:
    assert questions_for(0.01, at_half(600), SEEDS, 3, TWO_POLICIES) is None
    assert samples_for(0.01, at_half(600), SEEDS, 3, TWO_POLICIES) is None


def test_a_group_keeps_the_proportions_of_its_benchmarks() -> None:
    group = at_half(600) + at_half(200)
    needed = questions_for(0.05, group, ANSWERS, 3, TWO_POLICIES)
    assert needed is not None
    assert needed[0] == pytest.approx(3 * needed[1], abs=3)


def test_a_measured_contrast_says_what_it_sees_and_needs() -> None:
    chance = np.random.default_rng(1)
    right = np.repeat(chance.beta(0.5, 0.5, 300)[None], 3, axis=0)
    policies = [[CorrectCounts(chance.binomial(1, right), 1)] for _ in range(2)]
    pooled = SeedVariance(between=0.01**2, total=0.02**2, df=40)
    result = contrast_with_seeds(policies, [1, -1], trained=[True, True], seed_variance=pooled)
    assert result.seed_error == pytest.approx(0.01 * math.sqrt(2 / 3))
    seen = power.seen_by(result)
    assert power.times_the_questions(result, seen) == pytest.approx(1.0)
    assert power.times_the_seeds(result, seen) == pytest.approx(1.0)
    assert power.times_the_questions(result, 0.01) is None
    assert power.times_the_seeds(result, 0.01) is None
    # Without seeds, half the difference needs four times the questions.
    alone = contrast_with_seeds([[policies[0][0]], [policies[1][0]]], [1, -1], trained=[False] * 2)
    assert power.times_the_questions(alone, power.seen_by(alone) / 2) == pytest.approx(4.0)


def test_the_half_width_is_that_of_the_contrast_of_simulated_answers() -> None:
    source = np.random.default_rng(1)
    questions, samples, score = 2000, 4, 0.5
    # Beta(a, a) with the share w of its variance between answers: 2 a / (2 a + 1).
    a = ASSUMED.within / (1 - ASSUMED.within) / 2
    base = source.beta(a, a, questions)
    policy = np.clip(base + source.normal(0.0, ASSUMED.change, questions), 0.0, 1.0)
    correct = [source.binomial(samples, chance) for chance in (policy, base)]
    difference = contrast(group_terms([CorrectCounts(correct, samples)], [1, -1]))
    measured = (difference.high - difference.low) / 2
    size = Benchmark(score, questions, samples)
    assert measured == pytest.approx(half_width([size], ASSUMED, 1, POLICY_AND_BASE), rel=0.06)


def test_the_paper_profile_sees_the_papers_gains() -> None:
    gains = {row.domain: (row.from_base, row.paper) for row in rows() if row.paper is not None}
    assert list(gains) == ["easy", "hard", "stem"]
    assert all(seen < gain for seen, gain in gains.values())
