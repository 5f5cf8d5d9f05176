"""Align the steps of a trace with the steps that the statement asks for.

Each step of the trace is assigned to at most one step of the statement, so that as few numbers as
possible, then as few signs, then as few places in the order differ. A step whose sign differs from
its partner's is wrong, and so is one without a partner.
"""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import compress
from typing import NamedTuple

from delta.judging.rules.equations import Equation, Operation

# What a pair costs: only the larger ones decide, unless they are equal.
_OTHER_NUMBER, _OTHER_SIGN = 10 * 10**8, 10**8
_OF_RESULTS, _LEFT_NUMBER = 6 * 10**7, 3 * 10**7  # a result or the left number may identify it
_FAR = 100  # places; further apart costs no more
_MAX_PAIRS = 300_000  # compared in about a second; of a larger trace none is


class CalculationStep(NamedTuple):
    """One operation; a side that is an earlier result is None."""

    sign: str
    left: Fraction | None = None
    right: Fraction | None = None
    is_known: bool = True  # which numbers it uses


class _TraceStep(NamedTuple):
    """A step of a trace."""

    equation: int  # its index
    readings: tuple[CalculationStep, ...]  # two for n + n where n * 2 may be meant
    is_carried: bool = False  # its right number may be an earlier result


def flat_steps(operations: Sequence[tuple[str, Fraction | None]]) -> list[CalculationStep]:
    """Return the steps of numbers and signs without brackets: products, then sums."""
    steps: list[CalculationStep] = []
    terms: list[tuple[str, Fraction | None]] = []
    for sign, value in operations:
        if sign in ("*", "/"):
            term_sign, left = terms.pop()
            steps.append(CalculationStep(sign, left, value))
            terms.append((term_sign, None))
        else:
            terms.append((sign, value))
    left = terms[0][1] if terms else None
    for sign, right in terms[1:]:
        steps.append(CalculationStep(sign, left, right))
        left = None
    return steps


def misaligned_equations(
    asked: Sequence[CalculationStep], equations: Sequence[Equation]
) -> list[int]:
    """Return the indices of the equations with a step that is wrong."""
    from scipy.optimize import linear_sum_assignment  # takes long to import

    shown = _without_restatements(asked, _trace_steps(asked, equations), equations)
    if not 0 < len(shown) * len(asked) <= _MAX_PAIRS:
        return []
    pairs = [
        [_compare(step, other, abs(row - column)) for column, other in enumerate(asked)]
        for row, step in enumerate(shown)
    ]
    rows, columns = linear_sum_assignment([[cost for cost, _ in row] for row in pairs])
    right = {
        int(row) for row, column in zip(rows, columns, strict=True) if not pairs[row][column][1]
    }
    return sorted({step.equation for row, step in enumerate(shown) if row not in right})


def _trace_steps(
    asked: Sequence[CalculationStep], equations: Sequence[Equation]
) -> list[_TraceStep]:
    """Return the steps of all equations that are flat."""
    shown: list[_TraceStep] = []
    unused: Counter[Fraction] = Counter()  # results
    for index, equation in enumerate(equations):
        carried: list[bool] = []
        for value in equation.operands:
            carried.append(unused[value] > 0)
            unused[value] -= carried[-1]
        unused[abs(equation.stated)] += 1  # the sign before an operand is not part of it
        product = _repeated_addition(asked, equation)
        if product and len(equation.operations) > 2:
            shown.append(_TraceStep(index, (product,)))
            continue
        results = set(compress(equation.operands[1:], carried[1:]))
        first, *others = equation.operations or [("", None)]
        for step in flat_steps([("", None) if carried[:1] == [True] else first, *others]):
            readings = (step, product) if product else (step,)
            is_carried = step.right is not None and step.right in results
            shown.append(_TraceStep(index, readings, is_carried))
    return shown


def _without_restatements(
    asked: Sequence[CalculationStep], shown: list[_TraceStep], equations: Sequence[Equation]
) -> list[_TraceStep]:
    """Leave out calculations that the trace has again, and right ones of several steps at once.

    So a trace may show both 6 + 1 - 4 = 3 and its steps.
    """
    steps: dict[int, list[_TraceStep]] = {}
    for step in shown:
        steps.setdefault(step.equation, []).append(step)
    seen: set[tuple[tuple[Operation, ...], Fraction]] = set()
    kept: list[_TraceStep] = []
    for index, of_equation in steps.items():
        calculation = equations[index].operations, equations[index].stated
        is_whole = 1 < len(of_equation) <= len(asked) and _are_asked(asked, of_equation)
        if calculation not in seen and not is_whole:
            kept += of_equation
        seen.add(calculation)
    return kept


def _are_asked(asked: Sequence[CalculationStep], shown: Sequence[_TraceStep]) -> bool:
    """Return whether each step is another one of those asked for."""
    left = list(asked)
    for step in shown:
        costs = [_compare(step, other, 0)[0] for other in left]
        if min(costs) > _LEFT_NUMBER:
            return False
        del left[costs.index(min(costs))]
    return True


def _repeated_addition(
    asked: Sequence[CalculationStep], equation: Equation
) -> CalculationStep | None:
    """Return the multiplication that 4 + 4 + 4 may stand for; None if none by 3 is asked for."""
    signs = {sign for sign, _ in equation.operations[1:]}
    times = Fraction(len(equation.operations))
    if signs != {"+"} or len(set(equation.operands)) > 1:
        return None
    is_asked = any(
        step.sign == "*" and (not step.is_known or times in (step.left, step.right))
        for step in asked
    )
    return CalculationStep("*", None, times) if is_asked else None


def _compare(shown: _TraceStep, asked: CalculationStep, distance: int) -> tuple[int, bool]:
    """Return what the pair costs, and whether the signs differ."""
    costs = [
        (_number_cost(reading, asked, is_carried=shown.is_carried), reading.sign != asked.sign)
        for reading in shown.readings
    ]
    cost, is_wrong = min((cost + _OTHER_SIGN * is_wrong, is_wrong) for cost, is_wrong in costs)
    return cost + min(distance, _FAR) ** 2, is_wrong


def _number_cost(shown: CalculationStep, asked: CalculationStep, *, is_carried: bool) -> int:
    """Return a cost that is lower the more the given numbers show that both are the same step."""
    if not asked.is_known or (asked.right is not None and shown.right == asked.right):
        return 0
    if asked.right is None and asked.left is not None and shown.left == asked.left:
        return _LEFT_NUMBER
    crossed = ((shown.left, asked.right), (shown.right, asked.left))
    is_commutative = shown.sign == asked.sign and shown.sign in ("+", "*")
    if is_commutative and any(a == b and b is not None for a, b in crossed):
        return _LEFT_NUMBER
    is_of_results = asked.left is None or asked.right is None
    can_be_result = is_carried or shown.right is None
    return _OF_RESULTS if is_of_results and can_be_result else _OTHER_NUMBER
