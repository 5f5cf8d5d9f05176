"""The equation that is named is the one whose operation is wrong, and in right traces none is."""

import random

import pytest

from delta.judging.rules.trace_facts import collect_facts
from delta.solver.faults import FAULTS
from delta.solver.solve import Solution, places, plant, worked_solution
from tests.helpers.worked_problems import KINDS, worked_problems

CHAIN = "What is 6 + 1 - 4 + 2?"
SEVEN = "What is 6 + 1 - 4 + 7?"
FOURS = "What is 9 - 4 + 4 - 1?"
PRODUCT = "What is 3 * 4 + 3?"
PRODUCTS = "What is 20 - 2 * 3 + 6?"
WORDS = "Start with 6. Add 6. Multiply by 2. What is the result?"
GROUPS = (
    "There are 2 bags with 6 pens each. There are 3 boxes with 4 pens each. How many are there now?"
)
BRACKETS = "Calculate (3 + 4) * 2."
RISING = "What is the next number: 3, 7, 11, 15?"


def named(statement: str, trace: str) -> list[str]:
    """Return the equations that are named, without spaces; ";" ends a line."""
    facts = collect_facts(statement, trace.replace("; ", "\n"))
    return [place.text.replace(" ", "") for place in facts.wrong_operations()]


@pytest.mark.parametrize(
    ("statement", "trace"),
    [
        (CHAIN, "6 + 1 = 7; 7 - 4 = 3; 3 + 2 = 5"),
        (CHAIN, "1 + 6 = 7; 7 - 4 = 3; 2 + 3 = 5"),
        (CHAIN, "6 + 2 = 8; 8 + 1 = 9; 9 - 4 = 5"),  # another order
        (CHAIN, "6 + 1 + 2 = 9; 9 - 4 = 5"),
        (CHAIN, "6 + 1 - 4 + 2 = 7 - 4 + 2 = 3 + 2 = 5"),
        (CHAIN, "6 + 1 = 7; 7 - 4 = 3; 3 + 2 = 5; So 6 + 1 - 4 + 2 = 5"),
        (CHAIN, "6 + 1 = 7; 7 - 4 = 3; 3 + 2 = 5; So 1 + 6 + 2 - 4 = 5"),
        (CHAIN, "6 + 1 = 7; 7 - 4 = 3; 3 + 2 = 5; We had 7 - 4 = 3"),  # twice
        (CHAIN, "6 + 1 = 4; 4 - 4 = 0; 0 + 2 = 2"),  # a slip to a number of the problem
        (CHAIN, "6 + 1 = 7; 3 + 2 = 5"),  # without the second step
        (CHAIN, "6 + 1 = 7; 7 - 9 = -2; -2 + 2 = 0"),  # an invented 9
        (SEVEN, "7 - 4 = 3; 3 + 7 = 10"),  # without the first step, whose result is given too
        (FOURS, "9 + 4 = 13; 13 - 4 = 9; 9 - 1 = 8"),
        (PRODUCT, "3 * 4 = 12; 12 + 3 = 15"),
        (PRODUCT, "4 + 4 + 4 = 12; 12 + 3 = 15"),
        (PRODUCTS, "2 * 3 = 6; 20 - 6 = 14; 14 + 6 = 20"),
        (PRODUCTS, "20 + 6 = 26; 2 * 3 = 6; 26 - 6 = 20"),
        (WORDS, "6 + 6 = 12; 12 * 2 = 24"),
        (WORDS, "6 + 6 = 12; 12 + 12 = 24"),
        (GROUPS, "2 * 6 = 12; 3 * 4 = 12; 12 + 12 = 24"),
        (GROUPS, "2 * 6 + 3 * 4 = 24"),
        (BRACKETS, "3 + 4 = 7; 7 * 2 = 14"),
        (RISING, "7 - 3 = 4; 15 + 4 = 19"),
        (RISING, "7 - 3 = 4; 11 - 7 = 4; 15 - 11 = 4; 15 + 4 = 19"),
    ],
)
def test_in_a_trace_with_the_right_operations_none_is_named(statement: str, trace: str) -> None:
    assert named(statement, trace) == []


@pytest.mark.parametrize(
    ("statement", "trace", "wrong"),
    [
        (CHAIN, "6 - 1 = 5; 5 - 4 = 1; 1 + 2 = 3", "6-1=5"),
        (CHAIN, "6 + 1 = 7; 7 + 4 = 11; 11 + 2 = 13", "7+4=11"),
        (CHAIN, "6 + 1 = 7; 7 - 4 = 3; 3 - 2 = 1", "3-2=1"),
        (CHAIN, "6 * 1 = 6; 6 - 4 = 2; 2 + 2 = 4", "6*1=6"),
        # The next line's operand is a result that the problem gives too.
        ("What is 6 + 2 - 4 + 4?", "6 - 2 = 4; 4 - 4 = 0; 0 + 4 = 4", "6-2=4"),
        ("What is 5 - 2 - 3 + 6?", "5 - 2 = 3; 3 + 3 = 6; 6 + 6 = 12", "3+3=6"),
        # With another fault: a slip, a step left out, an invented number.
        (CHAIN, "6 - 1 = 4; 4 - 4 = 0; 0 + 2 = 2", "6-1=4"),
        (CHAIN, "6 + 1 = 2; 2 - 4 = -2; -2 - 2 = -4", "-2-2=-4"),
        (CHAIN, "7 + 4 = 11; 11 + 2 = 13", "7+4=11"),
        (CHAIN, "6 - 1 = 5; 3 + 2 = 5", "6-1=5"),
        (CHAIN, "3 - 2 = 1", "3-2=1"),
        (CHAIN, "6 + 1 - 4 = 3; 3 - 2 = 1", "3-2=1"),
        (CHAIN, "6 + 1 - 4 - 2 = 1", "6+1-4-2=1"),
        (CHAIN, "6 - 9 = -3; -3 - 4 = -7; -7 + 2 = -5", "6-9=-3"),
        (CHAIN, "6 + 9 = 15; 15 + 4 = 19; 19 + 2 = 21", "15+4=19"),
        (CHAIN, "6 + 1 = 7; 7 + 9 = 16; 16 + 2 = 18", "7+9=16"),
        (CHAIN, "6 + 1 = 7; 7 - 4 = 3; 3 - 2 = 1; So 6 + 1 - 4 + 2 = 1", "3-2=1"),
        # The same number is added and subtracted.
        (FOURS, "9 + 4 = 13; 13 + 4 = 17; 17 - 1 = 16", "9+4=13"),
        (FOURS, "9 - 4 = 5; 5 - 4 = 1; 1 - 1 = 0", "5-4=1"),
        (PRODUCT, "3 + 4 = 7; 7 + 3 = 10", "3+4=7"),
        (PRODUCT, "3 * 4 = 12; 12 * 3 = 36", "12*3=36"),
        (PRODUCTS, "2 + 3 = 5; 20 - 5 = 15; 15 + 6 = 21", "2+3=5"),
        (PRODUCTS, "2 * 3 = 6; 20 + 6 = 26; 26 + 6 = 32", "20+6=26"),
        ("What is 9 * 9 - 9 - 5?", "9 + 9 = 18; 18 - 9 = 9; 9 - 5 = 4", "9+9=18"),
        (WORDS, "6 + 6 = 12; 12 - 2 = 10", "12-2=10"),
        (GROUPS, "2 * 6 = 12; 3 * 4 = 12; 12 - 12 = 0", "12-12=0"),
        (BRACKETS, "3 * 4 = 12; 12 * 2 = 24", "3*4=12"),
        (RISING, "7 + 3 = 10; 15 + 10 = 25", "7+3=10"),
        (RISING, "7 - 3 = 4; 15 - 4 = 11", "15-4=11"),
        (RISING, "15 - 4 = 11", "15-4=11"),
        (CHAIN, "6 + 1 = 7; 7 - 4 = 3; 3 + 2 = 5; 5 + 2 = 7", "5+2=7"),  # one more than asked for
    ],
)
def test_the_equation_with_the_wrong_operation_is_named(
    statement: str, trace: str, wrong: str
) -> None:
    assert named(statement, trace) == [wrong]


def differing(right: Solution, faulty: Solution) -> list[str]:
    """Return the equations of the faulty solution with another operator than the right one's."""
    pairs = zip(right.text.splitlines(), faulty.text.splitlines(), strict=True)
    lines = [(old.split(), new.split()) for old, new in pairs if " = " in new]
    return ["".join(new) for old, new in lines if old[1] != new[1]]


@pytest.mark.parametrize("kind", KINDS)
def test_of_the_solver_s_faults_only_a_wrong_operation_is_named_and_where_it_is(kind: str) -> None:
    rng = random.Random(6)
    num_named = 0
    for statement, steps in worked_problems(kind, 60, seed=5):
        right = Solution(worked_solution(steps), steps[-1].result, ())
        for fault in FAULTS:
            if not places(steps, fault):
                continue
            faulty = plant(steps, fault, rng)
            found = named(statement, faulty.text)
            if fault != "wrong_operation":
                assert not found, faulty.text
                continue
            # Missed where it is the same line as another, which is right.
            assert set(found) <= set(differing(right, faulty)), faulty.text
            num_named += len(found)
    assert num_named >= 58
