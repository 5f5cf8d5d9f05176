r"""Write the worked solution of a problem, with faults drawn at given rates.

A solution has a line for each step and the answer in a box:

    6 + 1 = 7
    7 + 4 = 11
    \boxed{11}

A wrong result is carried on: later steps are right calculations from it.
"""

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from delta.data.steps import Operands, Step, calculate, find_operands
from delta.solver.faults import FAULTS, STEP_FAULTS, TRACE_FAULTS

FILLERS = (
    "Let me think about this problem carefully.",
    "Okay, so now I need to look at the next part.",
    "Hmm, wait, let me see what comes next here.",
    "This is an interesting problem to work on.",
)
OFFSETS = (-10, -2, -1, 1, 2, 10)  # of a slip from the right result
# In place of the right operator, the likelier ones first.
WRONG_OPERATORS = {"+": ("-", "*"), "-": ("+", "*"), "*": ("+", "-")}
WIDTH = 10  # an invented number is up to this much larger than all that the problem gives


class Solution(NamedTuple):
    """A solution's text, the number in its box, and the faults in it, in their order."""

    text: str
    answer: int
    faults: tuple[str, ...]  # a step's fault once for each step that has it


class _Plan(NamedTuple):
    """Which faults are planted: in each step, and in the trace."""

    steps: list[set[str]]
    trace: set[str]


def worked_solution(steps: Sequence[Step]) -> str:
    """Return the right solution."""
    return solve(steps, {}, random.Random(0)).text


def solve(steps: Sequence[Step], rates: Mapping[str, float], rng: random.Random) -> Solution:
    """Return a solution in which each fault is drawn by itself, at its rate.

    `rates` are probabilities by name (delta.solver.faults): of the first three in every step, of
    the others in the trace. A fault that the problem has no place for is left out (`places`).
    """
    steps_with = {fault: set(places(steps, fault)) for fault in FAULTS}
    # Every fault is drawn, whatever its rate, so a changed rate of one leaves the others' draws.
    plan = _Plan([set() for _ in steps], set())
    for fault in STEP_FAULTS:
        for number, planted in enumerate(plan.steps):
            if rng.random() < rates.get(fault, 0.0) and number in steps_with[fault]:
                planted.add(fault)
    for fault in TRACE_FAULTS:
        if rng.random() < rates.get(fault, 0.0) and steps_with[fault]:
            plan.trace.add(fault)
    return _write(steps, plan, rng)


def plant(steps: Sequence[Step], fault: str, rng: random.Random) -> Solution:
    """Return a solution with exactly one fault, in a random place.

    Raises ValueError where the problem has no place for it.
    """
    possible = places(steps, fault)
    if not possible:
        raise ValueError(f"{fault}: none of the {len(steps)} steps has a place for it")
    plan = _Plan([set() for _ in steps], set())
    if fault in STEP_FAULTS:
        plan.steps[rng.choice(possible)].add(fault)
    else:
        plan.trace.add(fault)
    return _write(steps, plan, rng)


def places(steps: Sequence[Step], fault: str) -> list[int]:
    """Return the steps in which a fault can be planted.

    An invented number replaces a given one, and the last step cannot be left out.
    """
    if fault == "invented_number":
        operands = find_operands(steps)
        return [number for number, used in enumerate(operands) if None in used]
    last = len(steps) - 1 if fault == "omitted_step" else len(steps)
    return list(range(last))


def _write(steps: Sequence[Step], plan: _Plan, rng: random.Random) -> Solution:
    written = _write_steps(steps, plan.steps, rng)
    lines = [step.text for step in written]
    answer = written[-1].result
    if "omitted_step" in plan.trace:
        del lines[rng.choice(places(steps, "omitted_step"))]
    if "unsupported_conclusion" in plan.trace:
        answer = _other_number(answer, rng)
    if "repetition" in plan.trace:
        number = rng.randrange(len(lines))
        lines.insert(number, lines[number])
    if "filler" in plan.trace:
        lines.insert(rng.randrange(len(lines) + 1), rng.choice(FILLERS))
    faults = [fault for planted in plan.steps for fault in STEP_FAULTS if fault in planted]
    faults += [fault for fault in TRACE_FAULTS if fault in plan.trace]
    return Solution("\n".join([*lines, rf"\boxed{{{answer}}}"]), answer, tuple(faults))


def _write_steps(
    steps: Sequence[Step], planted: Sequence[set[str]], rng: random.Random
) -> list[Step]:
    """Return the steps as they are written: with their faults, and with earlier wrong results."""
    operands = find_operands(steps)
    known = {number for step in steps for number in (step.left, step.right, step.result)}
    written: list[Step] = []
    for step, used, faults in zip(steps, operands, planted, strict=True):
        left = step.left if used.left is None else written[used.left].result
        right = step.right if used.right is None else written[used.right].result
        operator = step.operator
        if "invented_number" in faults:
            known.update(n for earlier in written for n in earlier if isinstance(n, int))
            left, right = _with_invented_number(left, operator, right, used, known, rng)
        if "wrong_operation" in faults:
            operator = _other_operator(left, operator, right)
        result = calculate(left, operator, right)
        if "slip" in faults:
            result = _other_number(result, rng)
        written.append(Step(left, operator, right, result))
    return written


def _with_invented_number(
    left: int, operator: str, right: int, used: Operands, known: set[int], rng: random.Random
) -> tuple[int, int]:
    """Return the operands with another number in place of a given one, the right one if it is.

    The result is not below zero where such a number exists.
    """
    numbers = [n for n in range(1, max(known) + WIDTH + 1) if n not in known]
    pairs = [(left, n) if used.right is None else (n, right) for n in numbers]
    return rng.choice(
        [pair for pair in pairs if calculate(pair[0], operator, pair[1]) >= 0] or pairs
    )


def _other_operator(left: int, operator: str, right: int) -> str:
    """Return an operator with another result, one that is not below zero where there is one.

    Two zeros have the same result by every operator.
    """
    result = calculate(left, operator, right)
    others = [
        other for other in WRONG_OPERATORS[operator] if calculate(left, other, right) != result
    ]
    others.sort(key=lambda other: calculate(left, other, right) < 0)
    return others[0] if others else WRONG_OPERATORS[operator][0]


def _other_number(value: int, rng: random.Random) -> int:
    """Return a number near `value`, on the same side of zero."""
    numbers = [value + offset for offset in OFFSETS]
    return rng.choice([number for number in numbers if (number < 0) == (value < 0)])
