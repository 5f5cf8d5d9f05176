"""Raters with known sight are told apart, and no verdict claims more than its pairs show."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from delta.certificate.verdicts import Groups, Scores, Sight, decide, slope_estimates
from tests.helpers.planted_raters import DIMENSION_OF, DIMENSIONS, RATERS, scores_of

RUNS = 100
PROBLEMS = 60  # the profiles' own number of pairs
SMALLEST = 0.5

Sights = dict[str, Sight]


def verdicts_of(sights: Sights) -> tuple[str, ...]:
    return tuple(sight.verdict for sight in sights.values())


def is_length_bias(scores: Scores) -> bool:
    slopes = [slope for slope in slope_estimates(scores) if slope is not None]
    smallest = min(min(slope.p_above(0.0), slope.p_below(0.0)) for slope in slopes)
    return 2 * smallest * len(DIMENSIONS) < 0.05


def recognize(sights: Sights, loves_length: bool) -> str:
    """Return the planted rater whose certificate this is."""
    verdicts = verdicts_of(sights)
    if verdicts == ("sees",) * 5:
        return "perfect"
    if verdicts == ("sees", "sees", "blind", "sees", "sees"):
        return "blind_in_third"
    if "sees" in verdicts:
        return "unknown"
    if loves_length:
        return "loves_length"
    reasons = Counter(sight.reason for sight in sights.values())
    falls = sum("as much" in reason for reason in reasons.elements())
    return "halo" if falls >= 4 else "random"


FALSE_ALARMS: dict[str, Callable[[tuple[str, ...]], bool]] = {
    "perfect": lambda verdicts: "blind" in verdicts,
    "random": lambda verdicts: "sees" in verdicts,
    "halo": lambda verdicts: "sees" in verdicts,
    "loves_length": lambda verdicts: "sees" in verdicts,
    "blind_in_third": lambda verdicts: (
        verdicts[2] == "sees" or "blind" in verdicts[:2] + verdicts[3:]
    ),
}


@pytest.mark.parametrize("rater", RATERS)
def test_planted_raters_are_told_apart_in_95_of_100_runs(rater: str) -> None:
    recognized, alarms, length = Counter[str](), 0, 0
    for seed in range(RUNS):
        scores = scores_of(rater, PROBLEMS, np.random.default_rng(seed))
        sights = decide(Groups(scores), DIMENSION_OF, DIMENSIONS, SMALLEST)
        loves_length = is_length_bias(scores)
        recognized[recognize(sights, loves_length)] += 1
        alarms += FALSE_ALARMS[rater](verdicts_of(sights))
        length += rater != "loves_length" and loves_length
    assert recognized[rater] >= 95, recognized
    assert alarms <= 5
    assert length <= 5


def test_five_problems_with_equal_scores_decide_nothing_and_forty_do() -> None:
    verdicts = {}
    for problems in (5, 40):
        scores = scores_of("perfect", problems, np.random.default_rng(1))
        same = scores._replace(differences=np.zeros_like(scores.differences))
        sights = decide(Groups(same), DIMENSION_OF, DIMENSIONS, SMALLEST)
        verdicts[problems] = set(verdicts_of(sights))
    assert verdicts == {5: {"cannot tell"}, 40: {"blind"}}
