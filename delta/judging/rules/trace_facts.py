"""Collect what a trace shows on paper: where its numbers come from, where its results go."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import islice
from typing import NamedTuple

from delta.judging.rules.equations import Equation, Line, read_lines
from delta.judging.rules.quantities import (
    Conclusion,
    Quantity,
    conventions,
    find_conclusion,
    find_quantities,
)

MAX_POOL, MAX_SEARCHES = 50, 40  # bound the search for steps that a trace left out
MAX_CHARACTERS = 150_000  # read for steps; 32,768 tokens of a trace are about 115,000


class Evidence(NamedTuple):
    """What the trace shows, collected once for all dimensions."""

    statement: str
    trace: str
    lines: list[Line]
    equations: list[Equation]
    quantities: list[Quantity]
    conclusion: Conclusion | None
    invented: list[Fraction]  # operands that nothing so far explains
    leaps: list[Fraction]  # operands one unshown calculation away from what is known
    unused: list[Equation]  # results that no later step and no conclusion takes up

    @property
    def concluded(self) -> Fraction | None:
        """The number of the conclusion."""
        return self.conclusion.value if self.conclusion else None

    @property
    def is_opaque(self) -> bool:
        return any(line.opaque for line in self.lines)

    @property
    def num_numbers(self) -> int:
        return max(1, sum(len(line.numbers) for line in self.lines))

    def used_numbers(self) -> set[Fraction]:
        """Numbers that steps work with; of lines without an equation we can read, every number."""
        used: set[Fraction] = set()
        for line in self.lines:
            used.update(line.operands)
            if line.opaque or not line.equations:
                used.update(line.numbers)
        return used

    def undone_steps(self) -> list[Equation]:
        """60 / 3 = 20 and later 20 * 3 = 60: the same numbers, another one called the result."""
        results: dict[frozenset[Fraction], Fraction] = {}
        undone: list[Equation] = []
        for equation in self.equations:
            stated = equation.stated
            numbers = frozenset((*equation.operands, stated))
            if len(numbers) > 2 and results.setdefault(numbers, stated) != stated:
                undone.append(equation)
        return undone

    def misses_the_last_step(self) -> bool:
        """The last line that calculates gives another number; silent if it is no arithmetic."""
        steps = (line for line in reversed(self.lines) if line.opaque or line.equations)
        last = next(steps, None)
        if self.concluded is None or last is None or last.opaque:
            return False
        return self.concluded not in _Known(last.results)

    def follows_from_nothing(self) -> bool:
        """No equation gives the concluded number; silent where some line could not be read."""
        if self.concluded is None or not self.equations or self.is_opaque:
            return False
        return self.concluded not in _Known(v for line in self.lines for v in line.results)


class _Known:
    """Numbers met so far. Fractions match to three digits, since traces round them."""

    def __init__(self, values: Iterable[Fraction]) -> None:
        self._exact: dict[Fraction, None] = {}  # ordered: what is given comes first
        self._rounded: set[str] = set()
        self.update(values)

    def update(self, values: Iterable[Fraction]) -> None:
        for value in values:
            self.add(value)

    def add(self, value: Fraction) -> None:
        value = _settled(value)
        self._exact[value] = None
        if value.denominator != 1:
            self._rounded.add(f"{float(value):.3g}")
            self._exact[Fraction(int(value))] = self._exact[Fraction(int(value) + 1)] = None

    def __contains__(self, value: Fraction) -> bool:
        value = _settled(value)
        if value in self._exact:
            return True
        return value.denominator != 1 and f"{float(value):.3g}" in self._rounded

    def reaches(self, value: Fraction) -> bool:
        """Whether one calculation with two known numbers gives the value."""
        pool = islice(self._exact, MAX_POOL)
        return any(
            value - known in self._exact
            or value + known in self._exact
            or (known and (value / known in self._exact or value * known in self._exact))
            for known in pool
            if known != 1  # n + 1 would explain every count
        )


def _settled(value: Fraction) -> Fraction:
    """The size of a number, with a float's 99.00000000000001 read as 99."""
    if value.denominator == 1:
        return value if value >= 0 else -value
    whole = Fraction(round(value))
    return abs(whole if abs(value - whole) < Fraction(1, 10**6) and whole else value)


def collect(statement: str, trace: str) -> Evidence:
    """Read the statement and the trace, each once."""
    lines = read_lines(trace[:MAX_CHARACTERS])
    quantities = find_quantities(statement[:MAX_CHARACTERS])
    conclusion = find_conclusion(trace)
    invented, leaps = _unexplained(statement, quantities, lines, conclusion)
    return Evidence(
        statement=statement,
        trace=trace,
        lines=lines,
        equations=[equation for line in lines for equation in line.equations],
        quantities=quantities,
        conclusion=conclusion,
        invented=invented,
        leaps=leaps,
        unused=_unused(lines, conclusion),
    )


def _unexplained(
    statement: str, quantities: list[Quantity], lines: list[Line], conclusion: Conclusion | None
) -> tuple[list[Fraction], list[Fraction]]:
    """Numbers that are neither given nor results: invented, or one unshown step away."""
    forms = frozenset(form for quantity in quantities for form in quantity.forms)
    known = _Known(forms | conventions(statement))
    invented: list[Fraction] = []
    leaps: list[Fraction] = []
    num_searches = 0
    for line in lines:
        operands, results = line.operands, set(line.results)
        # The line of the answer is judged with the conclusion, not as a step.
        is_answer = conclusion is not None and conclusion.text in line.text and not line.equations
        prose = () if is_answer else line.numbers
        for place, value in enumerate((*operands, *prose)):
            if value in known or abs(value) in results:
                continue
            # Beside algebra a number may come from steps we cannot read. In prose, mental
            # arithmetic is no jump yet: it becomes one when a calculation starts from it.
            if not line.opaque:
                num_searches += 1
                is_leap = num_searches <= MAX_SEARCHES and known.reaches(abs(value))
                if place < len(operands) or not is_leap:
                    (leaps if is_leap else invented).append(value)
            known.add(value)
        known.update(results)
    return invented, leaps


def _unused(lines: list[Line], conclusion: Conclusion | None) -> list[Equation]:
    """Results that no later line mentions; the last line's results are the conclusion's."""
    later = _Known(())
    if conclusion is not None and conclusion.value is not None:
        later.add(conclusion.value)
    unused: list[Equation] = []
    is_last = True
    for line in reversed(lines):
        if not is_last:
            own = set(line.operands)
            unused += [e for e in line.equations if e.stated not in later and e.stated not in own]
        is_last = is_last and not line.equations and not line.opaque
        later.update((*line.numbers, *line.operands))
    return unused[::-1]
