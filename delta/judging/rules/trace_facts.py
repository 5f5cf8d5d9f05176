"""Collect facts about a trace: the sources of its numbers and the uses of its results."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import islice
from typing import NamedTuple

from delta.judging.rules.equations import Equation, TraceLine, read_lines
from delta.judging.rules.quantities import (
    Conclusion,
    Quantity,
    find_conclusion,
    find_quantities,
    implied_numbers,
)

MAX_KNOWN, MAX_SEARCHES = 50, 40  # bound the search for steps that a trace leaves out
MAX_CHARACTERS = 150_000  # of a trace; 32,768 tokens are about 115,000 characters


class TraceFacts(NamedTuple):
    """Facts by which the dimensions are rated."""

    statement: str
    trace: str
    lines: list[TraceLine]
    equations: list[Equation]
    quantities: list[Quantity]
    conclusion: Conclusion | None
    invented_numbers: list[Fraction]  # without a source
    leaps: list[Fraction]  # operands one unshown calculation away from known numbers
    unused_equations: list[Equation]  # whose result no later step and no conclusion uses

    @property
    def conclusion_value(self) -> Fraction | None:
        """Return the conclusion's value; None if it is not a number."""
        return self.conclusion.value if self.conclusion else None

    @property
    def is_opaque(self) -> bool:
        """Return whether a line has mathematics that we cannot read."""
        return any(line.is_opaque for line in self.lines)

    @property
    def num_numbers(self) -> int:
        """Return how many numbers the trace has, but at least 1, since rates are divided by it."""
        return max(1, sum(len(line.numbers) for line in self.lines))

    def used_numbers(self) -> set[Fraction]:
        """Return all operands, and every number of lines without a readable equation."""
        used: set[Fraction] = set()
        for line in self.lines:
            used.update(line.operands)
            if line.is_opaque or not line.equations:
                used.update(line.numbers)
        return used

    def undone_steps(self) -> list[Equation]:
        """Return equations that reverse an earlier one: 60 / 3 = 20, then 20 * 3 = 60."""
        results: dict[frozenset[Fraction], Fraction] = {}
        undone: list[Equation] = []
        for equation in self.equations:
            stated = equation.stated
            numbers = frozenset((*equation.operands, stated))
            if len(numbers) > 2 and results.setdefault(numbers, stated) != stated:
                undone.append(equation)
        return undone

    def misses_the_last_step(self) -> bool:
        """Return whether the last line with arithmetic gives another number than the conclusion."""
        steps = (line for line in reversed(self.lines) if line.is_opaque or line.equations)
        last = next(steps, None)
        if self.conclusion_value is None or last is None or last.is_opaque:
            return False
        return self.conclusion_value not in _KnownNumbers(last.results)

    def follows_from_nothing(self) -> bool:
        """Return whether no equation gives the conclusion; False if a line could not be read."""
        if self.conclusion_value is None or not self.equations or self.is_opaque:
            return False
        return self.conclusion_value not in _KnownNumbers(
            v for line in self.lines for v in line.results
        )


class _KnownNumbers:
    """Numbers seen so far. Fractions match to three digits, because traces round them."""

    def __init__(self, values: Iterable[Fraction]) -> None:
        self._exact: dict[Fraction, None] = {}  # in order: given numbers come first
        self._rounded: set[str] = set()
        self.update(values)

    def update(self, values: Iterable[Fraction]) -> None:
        for value in values:
            self.add(value)

    def add(self, value: Fraction) -> None:
        value = _normalize(value)
        self._exact[value] = None
        if value.denominator != 1:
            self._rounded.add(f"{float(value):.3g}")
            self._exact[Fraction(int(value))] = self._exact[Fraction(int(value) + 1)] = None

    def __contains__(self, value: Fraction) -> bool:
        value = _normalize(value)
        if value in self._exact:
            return True
        return value.denominator != 1 and f"{float(value):.3g}" in self._rounded

    def reaches(self, value: Fraction) -> bool:
        """Return whether one calculation with two known numbers gives the value."""
        operands = islice(self._exact, MAX_KNOWN)
        return any(
            value - known in self._exact
            or value + known in self._exact
            or (known and (value / known in self._exact or value * known in self._exact))
            for known in operands
            if known != 1  # n + 1 would explain every count
        )


def _normalize(value: Fraction) -> Fraction:
    """Return the absolute value; a float such as 99.00000000000001 becomes 99."""
    if value.denominator == 1:
        return value if value >= 0 else -value
    whole = Fraction(round(value))
    return abs(whole if abs(value - whole) < Fraction(1, 10**6) and whole else value)


def collect_facts(statement: str, trace: str) -> TraceFacts:
    """Read the statement and the trace."""
    lines = read_lines(trace[:MAX_CHARACTERS])
    quantities = find_quantities(statement[:MAX_CHARACTERS])
    conclusion = find_conclusion(trace)
    invented, leaps = _invented_and_leaps(statement, quantities, lines, conclusion)
    return TraceFacts(
        statement=statement,
        trace=trace,
        lines=lines,
        equations=[equation for line in lines for equation in line.equations],
        quantities=quantities,
        conclusion=conclusion,
        invented_numbers=invented,
        leaps=leaps,
        unused_equations=_unused_equations(lines, conclusion),
    )


def _invented_and_leaps(
    statement: str,
    quantities: list[Quantity],
    lines: list[TraceLine],
    conclusion: Conclusion | None,
) -> tuple[list[Fraction], list[Fraction]]:
    """Return invented numbers and leaps: numbers that are neither given nor results."""
    forms = frozenset(form for quantity in quantities for form in quantity.forms)
    known = _KnownNumbers(forms | implied_numbers(statement))
    invented: list[Fraction] = []
    leaps: list[Fraction] = []
    num_searches = 0
    for line in lines:
        operands, results = line.operands, set(line.results)
        # The line of the answer is rated as the conclusion, not as a step.
        is_answer = conclusion is not None and conclusion.text in line.text and not line.equations
        prose = () if is_answer else line.numbers
        for index, value in enumerate((*operands, *prose)):
            if value in known or abs(value) in results:
                continue
            # In a line with algebra, a number may come from steps that we cannot read. In prose,
            # mental arithmetic is a leap only once a calculation starts from it.
            if not line.is_opaque:
                num_searches += 1
                is_leap = num_searches <= MAX_SEARCHES and known.reaches(abs(value))
                if index < len(operands) or not is_leap:
                    (leaps if is_leap else invented).append(value)
            known.add(value)
        known.update(results)
    return invented, leaps


def _unused_equations(lines: list[TraceLine], conclusion: Conclusion | None) -> list[Equation]:
    """Return equations whose result no later line mentions, except those of the last line."""
    later = _KnownNumbers(())
    if conclusion is not None and conclusion.value is not None:
        later.add(conclusion.value)
    unused: list[Equation] = []
    is_last = True
    for line in reversed(lines):
        if not is_last:
            operands = set(line.operands)
            unused += [
                equation
                for equation in line.equations
                if equation.stated not in later and equation.stated not in operands
            ]
        is_last = is_last and not line.equations and not line.is_opaque
        later.update((*line.numbers, *line.operands))
    return unused[::-1]
