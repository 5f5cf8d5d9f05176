"""Several seeds of one configuration, by hand and against a mixed model."""

import math

import numpy as np
import polars as pl
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

from delta.stats import contrasts
from delta.stats.contrasts import CorrectCounts
from delta.stats.intervals import clustered_proportion, effective_n_wilson, group_mean
from delta.stats.seeds import (
    SeedVariance,
    add_seed_variance,
    contrast_with_seeds,
    pool_seed_variance,
    score_with_seeds,
)


def test_one_seed_has_the_interval_of_its_questions_and_no_deviation_between_seeds() -> None:
    result = score_with_seeds([CorrectCounts([[1, 0, 0, 1, 1]], 1), CorrectCounts([[4, 0, 2]], 4)])
    questions = group_mean(
        [
            clustered_proportion([[True], [False], [False], [True], [True]]),
            clustered_proportion([[True] * 4, [False] * 4, [True, True, False, False]]),
        ]
    )
    assert result[:3] == pytest.approx(questions)
    assert result[3:] == (1, None)


def test_seeds_by_hand() -> None:
    # Scores 0.2, 0.3, 0.4. Every question differs by the seed alone: the residual is 0.
    counts = [[2] * 10, [3] * 10, [4] * 10]
    result = score_with_seeds([CorrectCounts(counts, samples=10)])
    assert result.value == pytest.approx(0.3)
    assert result.between_seeds == pytest.approx(0.1)
    # t with 2 is 4.302653; Wilson's bounds for the 10 × 10 × 3 answers, which are uncorrelated.
    questions = clustered_proportion([[True] * 9 + [False] * 21] * 10)
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert result.high == pytest.approx(0.3 + math.hypot(questions.high - 0.3, half), abs=1e-6)
    assert result.low == pytest.approx(0.3 - math.hypot(0.3 - questions.low, half), abs=1e-6)


def test_seeds_that_differ_only_by_sampled_answers_add_no_variance() -> None:
    # Each seed solves one of three; each question is solved once.
    result = score_with_seeds([CorrectCounts([[1, 0, 0], [0, 1, 0], [0, 0, 1]], 1)])
    assert result.between_seeds == 0.0
    assert result[:3] == pytest.approx(effective_n_wilson([1 / 3] * 3, 9))


def test_the_interval_has_the_seeds_variance_of_an_analysis_of_variance() -> None:
    chance = np.random.default_rng(3)
    chances = chance.random(25) + np.array([[-0.2], [0.0], [0.2], [0.1]])
    counts = chance.binomial(16, np.clip(chances, 0, 1))
    rows = [
        {"seed": seed, "question": question, "share": counts[seed, question] / 16}
        for seed in range(4)
        for question in range(25)
    ]
    table = pl.DataFrame(rows).to_pandas()
    squares = anova_lm(smf.ols("share ~ C(seed) + C(question)", table).fit())["mean_sq"]
    result = score_with_seeds([CorrectCounts(counts, 16)])
    assert result.between_seeds == pytest.approx(math.sqrt(squares["C(seed)"] / 25))
    due = (squares["C(seed)"] - squares["Residual"]) / 25
    # t with 3 is 3.182446; the other part of the half-width is for other questions.
    questions = effective_n_wilson((counts.mean(axis=0) / 16).tolist(), counts.size * 16)
    half = math.hypot(questions.high - questions.value, 3.182446 * math.sqrt(due / 4))
    assert result.high - result.value == pytest.approx(half, abs=1e-6)


def test_a_seeds_score_is_its_mean_over_benchmarks() -> None:
    up, down = [[0] * 10, [10] * 10], [[10] * 10, [0] * 10]
    result = score_with_seeds([CorrectCounts(up, 10), CorrectCounts(down, 10)])
    # Each seed has 0 on the one and 1 on the other: 1/2 in all.
    assert result.between_seeds == 0.0
    same = score_with_seeds([CorrectCounts(up, 10), CorrectCounts(up, 10)])
    assert same.between_seeds == pytest.approx(math.sqrt(0.5))
    assert (same.low, same.high) == (0.0, 1.0)  # two such seeds are no evidence


def test_configurations_of_one_seed_are_compared_as_runs_are() -> None:
    ours, theirs = [[1, 1, 0, 1, 0]], [[0, 1, 0, 0, 0]]
    result = contrast_with_seeds([[CorrectCounts(ours, 1)], [CorrectCounts(theirs, 1)]], [1, -1])
    run = contrasts.contrast(contrasts.group_terms([CorrectCounts(ours + theirs, 1)], [1, -1]))
    assert result[:4] == pytest.approx(run[:4])


def test_different_seeds_widen_the_interval_of_a_difference() -> None:
    base = [CorrectCounts([[2] * 50], 10)]
    steady = [CorrectCounts([[4] * 50, [4] * 50, [4] * 50], 10)]
    scattered = [CorrectCounts([[2] * 50, [4] * 50, [6] * 50], 10)]
    sure = contrast_with_seeds([steady, base], [1, -1])
    unsure = contrast_with_seeds([scattered, base], [1, -1])
    assert sure.value == pytest.approx(0.2)
    assert unsure.value == pytest.approx(0.2)
    assert sure.p < 1e-6
    # Scores 0.2, 0.4, 0.6: t = (0.4 - 0.2) / (0.2 / √3) = 1.73 with 2 degrees of freedom, p 0.225.
    assert unsure.p == pytest.approx(0.225, abs=0.005)
    assert unsure.low < 0 < unsure.high


def test_a_seed_effect_on_both_groups_cancels_in_their_difference() -> None:
    lifted = [
        CorrectCounts([[2] * 50, [4] * 50, [6] * 50], 10),
        CorrectCounts([[1] * 50, [3] * 50, [5] * 50], 10),
    ]
    base = [CorrectCounts([[2] * 50], 10), CorrectCounts([[3] * 50], 10)]
    # The policy is 0.1 better on the first, the base 0.1 worse: 0.2, in each seed.
    between = contrast_with_seeds([lifted, base], [1, -1], [1, -1])
    assert between.value == pytest.approx(0.2)
    assert between.p < 1e-6
    assert contrast_with_seeds([lifted, base], [1, -1]).p > 0.3


def test_groups_with_one_seed_are_compared_as_terms_are() -> None:
    first, second = [[1, 1, 0, 1], [0, 1, 0, 0]], [[1, 0, 0], [1, 1, 0]]
    rows = [[CorrectCounts([first[run]], 1), CorrectCounts([second[run]], 1)] for run in (0, 1)]
    terms = contrasts.group_terms([CorrectCounts(first, 1)], [1, -1])
    terms += contrasts.group_terms([CorrectCounts(second, 1)], [-1, 1])
    between = contrast_with_seeds(rows, [1, -1], [1, -1])
    assert between[:4] == pytest.approx(contrasts.contrast(terms)[:4])


def test_a_base_of_one_run_is_compared_with_a_policy_of_several_seeds() -> None:
    result = contrast_with_seeds(
        [[CorrectCounts([[1, 1, 0, 0], [1, 0, 0, 0]], 1)], [CorrectCounts([[0, 0, 0, 1]], 1)]],
        [1, -1],
    )
    assert result.value == pytest.approx(3 / 8 - 1 / 4)


def test_tables_of_different_sizes_are_refused() -> None:
    two, three = CorrectCounts([[1, 0]] * 2, 1), CorrectCounts([[1, 0]] * 3, 1)
    with pytest.raises(ValueError, match="different numbers of seeds"):
        score_with_seeds([two, three])
    with pytest.raises(ValueError, match="different numbers of samples"):
        contrast_with_seeds([[two], [two._replace(samples=2)]], [1, -1])


def exact(*scores: float, questions: int = 50) -> list[CorrectCounts]:
    """Return one benchmark, on which each seed has the same score on every question."""
    return [CorrectCounts([[round(10 * score)] * questions for score in scores], 10)]


def test_the_variance_between_seeds_is_pooled_by_degrees_of_freedom() -> None:
    # Variances 0.01 of three seeds and 0.08 of two: (2 · 0.01 + 1 · 0.08) / 3.
    pool = pool_seed_variance([exact(0.2, 0.3, 0.4), exact(0.3, 0.7), exact(0.9)])
    assert pool == pytest.approx(SeedVariance(0.1 / 3, 0.1 / 3, 3))
    assert pool_seed_variance([exact(0.2), exact(0.9)]) is None


def test_a_pool_leaves_out_the_variance_by_sampled_answers() -> None:
    # Each seed solves one of three questions: they do not differ, and their answers do.
    runs = [[CorrectCounts([[1, 0, 0], [0, 1, 0], [1, 1, 0]], 1)]] * 2
    pool = pool_seed_variance(runs)
    assert pool is not None
    assert pool.between == 0.0
    assert pool.total == pytest.approx(1 / 27)  # of the scores 1/3, 1/3 and 2/3


def test_a_pool_is_of_the_weighted_sum_that_a_contrast_uses() -> None:
    lifted = [*exact(0.2, 0.4, 0.6), *exact(0.1, 0.3, 0.5)]
    mean, difference = (pool_seed_variance([lifted], weights) for weights in (None, [1.0, -1.0]))
    assert mean is not None
    assert difference is not None
    assert mean.between == pytest.approx(0.04)
    assert difference.between == pytest.approx(0.0)


def test_a_single_seed_has_the_pooled_variance_and_a_base_has_none() -> None:
    policy, base = exact(0.6, questions=400), exact(0.4, questions=400)
    pool = SeedVariance(between=0.01, total=0.01, df=30)
    result = contrast_with_seeds([policy, base], [1, -1], trained=[True, False], seed_variance=pool)
    both = contrast_with_seeds([policy, base], [1, -1], trained=[True, True], seed_variance=pool)
    three = contrast_with_seeds(
        [exact(0.6, 0.6, 0.6, questions=400), base], [1, -1], trained=[True, False],
        seed_variance=pool,
    )  # fmt: skip
    assert result.seed_error == pytest.approx(0.1)
    assert both.seed_error == pytest.approx(math.sqrt(0.02))
    assert three.seed_error == pytest.approx(math.sqrt(0.01 / 3))
    assert contrast_with_seeds([policy, base], [1, -1]).seed_error == 0.0


def test_satterthwaites_degrees_of_freedom_by_hand() -> None:
    # 0.03 + 0.01 of the seeds, known as 0.02 with 4: 0.04² / (0.03² / 90 + 0.02² / 4).
    estimate = contrasts.Estimate(value=0.5, shrunken=0.5, variance=0.03, df=90, maximum=1.0)
    tested = add_seed_variance(estimate, [SeedVariance(0.01, 0.02, 4)]).tested()
    assert tested.standard_error == pytest.approx(0.2)
    assert tested.df == pytest.approx(0.0016 / (0.0009 / 90 + 0.0004 / 4))
