"""The sizes of the paper profile, checked by hand and with the test that compares runs."""

import numpy as np
import pytest

from bench.power import CHANGE, WITHIN, Size, read_sizes, rows, standard_error
from delta.stats.contrasts import CorrectCounts, contrast, group_terms


def test_the_error_of_one_benchmark_by_hand() -> None:
    # 2 × 0.4 × 0.5 × 0.5 = 0.2 for one answer, and 0.05² = 0.0025 for the training: 0.2025 / 2025.
    assert standard_error([Size(0.5, 2025, 1)]) == pytest.approx(1.0)
    # 16 answers: 0.0125 + 0.0025 = 0.015 of 150 questions.
    assert standard_error([Size(0.5, 150, 16)]) == pytest.approx(1.0)
    # The mean of two independent benchmarks: 1 / sqrt(2).
    assert standard_error([Size(0.5, 2025, 1), Size(0.5, 150, 16)]) == pytest.approx(0.5**0.5)


def test_the_half_width_is_that_of_the_contrast_of_simulated_answers() -> None:
    source = np.random.default_rng(1)
    questions, samples, score = 2000, 4, 0.5
    # Beta(a, a) with the share WITHIN of its variance between answers: 2 a / (2 a + 1).
    a = WITHIN / (1 - WITHIN) / 2
    base = source.beta(a, a, questions)
    policy = np.clip(base + source.normal(0.0, CHANGE, questions), 0.0, 1.0)
    correct = [source.binomial(samples, chance) for chance in (policy, base)]
    difference = contrast(group_terms([CorrectCounts(correct, samples)], [1, -1]))
    half_width = (difference.high - difference.low) / 2
    expected = 1.96 * standard_error([Size(score, questions, samples)]) / 100
    assert half_width == pytest.approx(expected, rel=0.06)


def test_the_paper_profile_sees_the_papers_gains() -> None:
    seen = {row.group: row.detectable for row in rows(read_sizes())}
    assert seen["easy"] < 2.0
    assert seen["hard"] == pytest.approx(2.32, abs=0.1)  # the two AIME have 30 questions each
    assert seen["stem"] < 0.845
