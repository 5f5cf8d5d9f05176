"""The rules see each planted fault in its own dimension, and nearly nothing of it in the others."""

import random
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from delta.data.steps import Step
from delta.judging.rubric import DIMENSIONS
from delta.judging.rules.operations import expected_operations
from delta.judging.rules.rate import NoVote, RulesParams, rate, read
from delta.solver.faults import DIMENSION_OF, FAULTS, STEP_FAULTS
from delta.solver.solve import places, plant, solve, worked_solution
from tests.helpers.worked_problems import KINDS, worked_problems

VOTES = RulesParams(votes=5, seed=4)


@cache
def problems(kind: str) -> list[tuple[str, list[Step]]]:
    return worked_problems(kind, 25, seed=3)


def scores(statement: str, trace: str) -> list[float]:
    return [
        np.nan if isinstance(votes, NoVote) else float(np.mean([vote.score for vote in votes]))
        for votes in rate(statement, trace, VOTES).values()
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_worked_solution_scores_5_in_every_dimension(kind: str) -> None:
    for statement, steps in problems(kind):
        assert scores(statement, worked_solution(steps)) == [5.0] * 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_lowers_its_own_dimension(fault: str, kind: str) -> None:
    rng = random.Random(1)
    possible = [each for each in problems(kind) if places(each[1], fault)]
    rated = [scores(statement, plant(steps, fault, rng).text) for statement, steps in possible]
    lost = 5 - np.array(rated).mean(axis=0)
    own = DIMENSIONS.index(DIMENSION_OF[fault])
    assert lost[own] > 1.2
    assert np.delete(lost, own).max() == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_dimensions_of_traces_with_independent_faults_hardly_correlate(kind: str) -> None:
    rng = random.Random(2)
    rates = {fault: 0.1 if fault in STEP_FAULTS else 0.2 for fault in FAULTS}
    rated: NDArray[np.float64] = np.array(
        [
            scores(statement, solve(steps, rates, rng).text)
            for statement, steps in problems(kind) * 12
        ]
    )
    correlations = np.corrcoef(rated.T)
    # 300 traces: the error of a correlation is 0.06.
    assert np.abs(correlations - np.eye(5)).max() < 0.2


@pytest.mark.parametrize(
    ("statement", "signs"),
    [
        ("What is 6 + 1 - 4?", "+-"),
        ("Calculate (3 + 4) * 2.", "+*"),
        ("Start with 5. Add 4. Subtract 2. What is the result?", "+-"),
        ("Ann has 5 pens. Ann gets 4 more. Ann gives 2 away. How many are left?", "+-"),
        ("There are 3 bags with 4 pens each. Ann adds 5 pens. How many are there now?", "*+"),
        ("What is the next number: 3, 7, 11, 15?", "+-"),
        ("What is the next number: 15, 11, 7, 3?", "--"),
        ("What is the next number: 2, 4, 8, 16?", None),  # no constant difference
        ("Ann has 5 pens, 3 more than Ben. How many pens does Ben have now?", None),
        ("Ann gives 3 pens to each of 4 friends. How many does she give?", None),
        ("A train goes 60 miles an hour for 3 hours. How far does it go?", None),
    ],
)
def test_the_operations_of_a_statement_are_known_or_it_is_not_compared(
    statement: str, signs: str | None
) -> None:
    expected = expected_operations(statement)
    assert (expected and sorted(expected.signs.elements())) == (signs and sorted(signs))


@pytest.mark.parametrize(
    ("trace", "triggers"),
    [
        ("7 + 4 = 11\n11 - 2 = 9\n\\boxed{9}", []),
        ("4 + 7 = 11\n11 - 2 = 9\n\\boxed{9}", []),
        ("7 + 4 - 2 = 9\n\\boxed{9}", []),
        ("7 - 4 = 3\n3 - 2 = 1\n\\boxed{1}", ["7 - 4 = 3"]),
        ("7 + 4 = 11\n11 + 2 = 13\n\\boxed{13}", ["11 + 2 = 13"]),
    ],
)
def test_a_wrong_operation_is_named(trace: str, triggers: list[str]) -> None:
    found = read("Start with 7. Add 4. Subtract 2. What is the result?", trace)
    strategy = found["strategy_coherence"]
    assert not isinstance(strategy, NoVote)
    text = "operation that the problem does not ask for: "
    assert [trigger.text for trigger in strategy] == [text + each for each in triggers]
