"""What would decide a claim that cannot be told, given the noise between seeds: on toy data."""

from dataclasses import replace

import pytest

from delta.report.claims import formatting
from delta.report.claims.measures import Evaluator
from delta.report.context import ReportContext, Run
from delta.report.paper.claims import ScoreDifference
from tests.helpers.toy_results import QUESTIONS, decide_a, toy_context, toy_result, weak_pairs_claim


def seeded_context(*scores: int, single: int | None = None) -> ReportContext:
    """Return figure 1 with run a of a seed for each score, and run b of one seed."""
    context = toy_context({"base": 10})
    runs = [
        Run({"pairs": "a", "seed": str(number)}, replace(toy_result(score), key=f"a{number}"))
        for number, score in enumerate(scores)
    ]
    if single is not None:
        runs.append(Run({"pairs": "b", "seed": "0"}, replace(toy_result(single), key="b")))
    return replace(context, experiments={"figure-1": runs})


def test_the_variance_between_seeds_is_also_that_of_a_training_with_one_seed() -> None:
    """Seeds 4 questions of 40 apart, 10 points, have a variance of 0.1^2 / 2 = 0.005.

    Of it 1.8 / 39 / 40 is by the 4 answers that differ (two-way analysis of variance).
    """
    noisy = seeded_context(18, 22, single=20)
    calm = seeded_context(20, 20, single=20)
    quantity = weak_pairs_claim("b", "b").quantity
    assert isinstance(quantity, ScoreDifference)
    noisy_b, calm_b = (Evaluator(c).score_difference(quantity) for c in (noisy, calm))
    assert noisy_b.value == calm_b.value == pytest.approx(25.0)
    assert calm_b.contrast is not None
    assert noisy_b.contrast is not None
    assert calm_b.contrast.seed_error == 0
    assert noisy_b.contrast.seed_error == pytest.approx((0.005 - 1.8 / 39 / 40) ** 0.5)
    assert noisy_b.sees > calm_b.sees


def test_without_seeds_the_noise_of_training_is_not_known() -> None:
    decided = decide_a(seeded_context(20))
    assert decided.verdict == "not run"
    assert decided.reasons == [
        "no training has run with several seeds, so the noise of training is not known"
    ]


def test_cannot_tell_says_how_many_questions_would_tell() -> None:
    """The run answers 2 of 40 questions more than the base, which is a gain of 5 points."""
    decided = decide_a(toy_context({"base": 10, "a": 12}), smallest=8.0)
    assert decided.verdict == "cannot tell"
    assert decided.required is not None
    measured = decided.parts[0].measured
    assert measured is not None
    assert decided.required.difference == pytest.approx(5.0, abs=0.01)
    # The error falls with the root of the number of questions.
    expected = QUESTIONS * (measured.sees / 5) ** 2
    assert decided.required.questions == pytest.approx(expected, abs=1.5)
    assert decided.required.seeds is None  # the seeds are alike


def test_where_neither_alone_would_tell_both_are_named() -> None:
    """The gain is 7.5 points, and the two seeds are 10 points apart."""
    decided = decide_a(seeded_context(11, 15), smallest=8.0)
    assert decided.verdict == "cannot tell"
    assert decided.required is not None
    assert decided.required[1:3] == (None, None)
    assert decided.required.both is not None
    questions, seeds = decided.required.both
    assert questions > 2 * QUESTIONS  # neither alone would do, so each needs more than twice
    assert seeds > 2 * 2
    assert formatting.explanation(decided) == (
        f"{questions:,} questions in place of 40 with {seeds:,} seeds in place of 2 would tell"
    )
