"""A solution with a fault differs from the right one as the fault says, and in nothing else."""

import itertools
import random

import numpy as np
import pytest

from delta.data.steps import Step, to_step
from delta.judging.rubric import DIMENSIONS
from delta.solver.faults import DIMENSION_OF, FAULTS, STEP_FAULTS, TRACE_FAULTS
from delta.solver.solve import FILLERS, Solution, places, plant, solve, worked_solution

STEPS = [to_step(6, "+", 1), to_step(7, "+", 4), to_step(11, "-", 2)]  # 6 + 1 + 4 - 2
RIGHT = "6 + 1 = 7\n7 + 4 = 11\n11 - 2 = 9\n\\boxed{9}"
# The next number after 3, 7, 11, 15: the second step uses the first one's result on its right.
SEQUENCE = [to_step(7, "-", 3), to_step(15, "+", 4)]


def planted(fault: str, steps: list[Step] = STEPS) -> list[Solution]:
    """Return the different solutions with this fault."""
    return list({plant(steps, fault, random.Random(seed)): None for seed in range(300)})


def equation(line: str) -> tuple[int, str, int, int]:
    left, operator, right, _, result = line.split()
    return int(left), operator, int(right), int(result)


def holds(line: str) -> bool:
    left, operator, right, result = equation(line)
    return {"+": left + right, "-": left - right, "*": left * right}[operator] == result


def lines_of(solution: Solution) -> list[str]:
    """Return the lines before the box, whose number must be the solution's answer."""
    *lines, box = solution.text.split("\n")
    assert box == rf"\boxed{{{solution.answer}}}"
    return lines


def test_without_faults_the_solution_is_the_right_one() -> None:
    assert worked_solution(STEPS) == RIGHT
    assert solve(STEPS, {}, random.Random(1)) == Solution(RIGHT, 9, ())
    assert worked_solution(SEQUENCE) == "7 - 3 = 4\n15 + 4 = 19\n\\boxed{19}"


def test_a_wrong_operation_changes_one_operator_and_the_results_after_it() -> None:
    expected = {
        "6 - 1 = 5\n5 + 4 = 9\n9 - 2 = 7\n\\boxed{7}",
        "6 + 1 = 7\n7 - 4 = 3\n3 - 2 = 1\n\\boxed{1}",
        "6 + 1 = 7\n7 + 4 = 11\n11 + 2 = 13\n\\boxed{13}",
    }
    assert {solution.text for solution in planted("wrong_operation")} == expected


def test_a_wrong_operation_has_no_result_below_zero() -> None:
    (product,) = planted("wrong_operation", [to_step(2, "+", 5)])
    assert product.text == "2 * 5 = 10\n\\boxed{10}"


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (to_step(7, "-", 0), "7 * 0 = 0"),  # 7 + 0 is right
        (to_step(2, "*", 2), "2 - 2 = 0"),  # 2 + 2 is right
        (to_step(2, "+", 2), "2 - 2 = 0"),
        (to_step(0, "*", 3), "0 + 3 = 3"),
    ],
)
def test_a_wrong_operation_has_another_result(step: Step, line: str) -> None:
    (solution,) = planted("wrong_operation", [step])
    assert lines_of(solution) == [line]


def test_an_invented_number_that_is_subtracted_is_not_too_large() -> None:
    # Of 1 to 13 + 10 the solution has 1, 4, 8, 9 and 13; 9 - n is not below zero up to 8.
    steps = [to_step(13, "-", 4), to_step(9, "-", 1)]
    lines = {lines_of(solution)[1] for solution in planted("invented_number", steps)}
    invented = {int(line.split()[2]) for line in lines if line.startswith("9 - ")} - {1}
    assert invented == {2, 3, 5, 6, 7}


def test_a_slip_is_one_wrong_equation_that_later_steps_go_on_from() -> None:
    texts = {solution.text for solution in planted("slip")}
    assert "6 + 1 = 7\n7 + 4 = 12\n12 - 2 = 10\n\\boxed{10}" in texts
    # Offsets of 1, 2 and 10 both ways, from 7 (which has no -10), 11 and 9 (no -10).
    assert len(texts) == 5 + 6 + 5
    for solution in planted("slip"):
        assert [holds(line) for line in lines_of(solution)].count(False) == 1


def test_an_invented_number_replaces_a_given_one_and_its_equation_holds() -> None:
    for solution in planted("invented_number"):
        lines = [equation(line) for line in lines_of(solution)]
        assert all(map(holds, lines_of(solution)))
        assert [line[1] for line in lines] == ["+", "+", "-"]
        changed = [new[2] for new, step in zip(lines, STEPS, strict=True) if new[2] != step.right]
        assert len(changed) == 1
        assert changed[0] not in {6, 1, 4, 2, 7, 11, 9}
        assert lines[0][0] == 6
        assert all(later[0] == earlier[3] for earlier, later in itertools.pairwise(lines))


def test_a_wrong_result_is_carried_on_to_the_operand_that_uses_it() -> None:
    texts = {solution.text for solution in planted("slip", SEQUENCE)}
    assert "7 - 3 = 5\n15 + 5 = 20\n\\boxed{20}" in texts
    for solution in planted("invented_number", SEQUENCE):
        first, second = map(equation, lines_of(solution))
        assert (first[0], second[2]) == (7, first[3])
        assert (first[2] != 3) != (second[0] != 15)


def test_an_omitted_step_is_one_line_less_but_never_the_last() -> None:
    assert {solution.text for solution in planted("omitted_step")} == {
        "7 + 4 = 11\n11 - 2 = 9\n\\boxed{9}",
        "6 + 1 = 7\n11 - 2 = 9\n\\boxed{9}",
    }


def test_an_unsupported_conclusion_changes_only_the_box() -> None:
    assert {solution.text for solution in planted("unsupported_conclusion")} == {
        RIGHT.replace(r"\boxed{9}", rf"\boxed{{{answer}}}") for answer in (7, 8, 10, 11, 19)
    }


def test_filler_is_one_line_more_that_has_no_number() -> None:
    for solution in planted("filler"):
        lines = lines_of(solution)
        (filler,) = set(lines) - set(RIGHT.split("\n"))
        assert filler in FILLERS
        assert not any(character.isdigit() for character in filler)
        lines.remove(filler)
        assert "\n".join([*lines, r"\boxed{9}"]) == RIGHT


def test_a_repetition_is_one_line_twice() -> None:
    assert {solution.text for solution in planted("repetition")} == {
        RIGHT.replace(line, f"{line}\n{line}") for line in RIGHT.split("\n")[:3]
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_reported_and_harms_what_it_should(fault: str) -> None:
    for solution in planted(fault):
        assert solution.faults == (fault,)
        keeps_answer = fault in ("omitted_step", "filler", "repetition")
        assert (solution.answer == 9) == keeps_answer


def test_a_fault_without_a_place_is_an_error_or_left_out() -> None:
    single = [to_step(1, "+", 2)]
    assert places(single, "omitted_step") == []
    with pytest.raises(ValueError, match="omitted_step: none of the 1 steps has a place"):
        plant(single, "omitted_step", random.Random(1))
    solution = solve(single, {"omitted_step": 1.0}, random.Random(1))
    assert solution == Solution("1 + 2 = 3\n\\boxed{3}", 3, ())


def test_rates_are_met_and_the_dimensions_of_the_faults_are_not_correlated() -> None:
    rng = random.Random(18)
    rates = dict.fromkeys(STEP_FAULTS, 0.2) | dict.fromkeys(TRACE_FAULTS, 0.3)
    solutions = [solve(STEPS, rates, rng) for _ in range(4_000)]
    counts = {f: np.array([s.faults.count(f) for s in solutions], dtype=float) for f in FAULTS}
    for fault in STEP_FAULTS:  # three steps
        assert counts[fault].mean() == pytest.approx(0.6, abs=0.05)
    for fault in TRACE_FAULTS:
        assert counts[fault].mean() == pytest.approx(0.3, abs=0.03)
    by_dimension = [
        np.sum([counts[fault] for fault in FAULTS if DIMENSION_OF[fault] == dimension], axis=0)
        for dimension in DIMENSIONS
    ]
    correlations = np.corrcoef(by_dimension) - np.eye(len(DIMENSIONS))
    assert np.abs(correlations).max() < 0.2


def test_every_fault_belongs_to_a_dimension_and_every_dimension_has_one() -> None:
    assert tuple(DIMENSION_OF) == FAULTS
    assert set(DIMENSION_OF.values()) == set(DIMENSIONS)
