"""Collect facts about a trace: the sources of its numbers and the uses of its results."""

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from itertools import islice
from typing import NamedTuple

from delta.judging.rules.equations import Equation, TraceLine, read_lines
from delta.judging.rules.operations import (
    Expected,
    count_missing,
    expected_operations,
    wrong_operations,
)
from delta.judging.rules.quantities import (
    Conclusion,
    Quantity,
    find_conclusion,
    find_quantities,
    implied_numbers,
    number_tokens,
)

MAX_KNOWN, MAX_SEARCHES = 50, 40  # bound the search for steps that a trace leaves out
LONG_LINE = 20  # characters; shorter lines without mathematics ("so") may repeat
MAX_CHARACTERS = 150_000  # of a trace; 32,768 tokens are about 115,000 characters


class Place(NamedTuple):
    """Where a trace has a fault, and its number or text."""

    line: int  # index of the line in `lines`
    text: str


class TraceFacts(NamedTuple):
    """Facts by which the dimensions are rated."""

    statement: str
    trace: str
    lines: list[TraceLine]  # each once, however often the trace has it
    repeated: list[Place]  # lines that the trace has again
    equations: list[Equation]
    equation_lines: list[int]  # the line of each equation
    quantities: list[Quantity]
    conclusion: Conclusion | None
    invented_numbers: list[Place]  # without a source
    leaps: list[Place]  # operands one unshown calculation away from known numbers
    ignored: list[Quantity]  # needed numbers of the statement that no step uses, shown or not
    unused_equations: list[Place]  # whose result no later step and no conclusion uses
    expected: Expected | None  # the operations that the statement asks for, where they are known
    num_missing: int | None  # how many of those the trace does not show, where that is known

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

    @property
    def fraction_read(self) -> float:
        """Return the fraction of lines with mathematics that have an equation that we can read."""
        read = sum(bool(line.equations) for line in self.lines)
        opaque = sum(line.is_opaque and not line.equations for line in self.lines)
        return read / max(1, read + opaque)

    def undone_steps(self) -> list[Place]:
        """Return equations that reverse an earlier one: 60 / 3 = 20, then 20 * 3 = 60."""
        results: dict[frozenset[Fraction], Fraction] = {}
        undone: list[Place] = []
        for line, equation in zip(self.equation_lines, self.equations, strict=True):
            stated = equation.stated
            numbers = frozenset((*equation.operands, stated))
            if len(numbers) > 2 and results.setdefault(numbers, stated) != stated:
                undone.append(Place(line, equation.text))
        return undone

    def wrong_operations(self) -> list[Place]:
        """Return the equations whose operation is not one that the statement asks for."""
        if self.expected is None:
            return []
        wrong = wrong_operations(self.expected, self.equations)
        return [Place(self.equation_lines[index], self.equations[index].text) for index in wrong]

    def lines_without_content(self) -> list[Place]:
        """Return lines with neither a number nor mathematics, and lines of commentary."""
        return [
            Place(index, line.text)
            for index, line in enumerate(self.lines)
            if not (line.equations or line.is_opaque or line.numbers or number_tokens(line.text))
        ]

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
    lines, repeated = _unique(read_lines(trace[:MAX_CHARACTERS]))
    quantities = find_quantities(statement[:MAX_CHARACTERS])
    conclusion = find_conclusion(trace)
    equations = [equation for line in lines for equation in line.equations]
    expected = expected_operations(statement)
    num_missing = count_missing(expected, equations) if expected else None
    sources = _Sources(statement, quantities, lines, conclusion, expected, num_missing)
    return TraceFacts(
        statement=statement,
        trace=trace,
        lines=lines,
        repeated=repeated,
        equations=equations,
        equation_lines=[index for index, line in enumerate(lines) for _ in line.equations],
        quantities=quantities,
        conclusion=conclusion,
        invented_numbers=sources.invented,
        leaps=sources.leaps,
        ignored=sources.ignored,
        unused_equations=_unused_equations(lines, conclusion),
        expected=expected,
        num_missing=num_missing,
    )


def _unique(lines: list[TraceLine]) -> tuple[list[TraceLine], list[Place]]:
    """Return each line once, and the repetitions of equations and of long lines."""
    unique: list[TraceLine] = []
    repeated: list[Place] = []
    indices: dict[str, int] = {}
    for line in lines:
        index = indices.setdefault(line.text, len(unique))
        if index == len(unique):
            unique.append(line)
        elif line.equations or line.is_opaque or len(line.text) >= LONG_LINE:
            repeated.append(Place(index, line.text))
    return unique, repeated


def _is_answer(line: TraceLine, conclusion: Conclusion | None) -> bool:
    """Return whether the line only states the answer, which is rated as the conclusion."""
    return conclusion is not None and conclusion.text in line.text and not line.equations


class _Sources:
    """Search the source of each number of a trace: given, a result, a leap, or invented."""

    def __init__(
        self,
        statement: str,
        quantities: list[Quantity],
        lines: list[TraceLine],
        conclusion: Conclusion | None,
        expected: Expected | None,
        num_missing: int | None,
    ) -> None:
        self.invented: list[Place] = []
        self.leaps: list[Place] = []
        self.num_missing = num_missing
        used = _used_numbers(lines, conclusion)
        given = number_tokens(statement[:MAX_CHARACTERS])
        self.given = set(given)
        self.unused = list((Counter(given) - used).elements())[:MAX_KNOWN]
        self.ignored = [q for q in quantities if q.is_needed and not q.forms & used.keys()]
        if expected and expected.is_sequence:
            self.ignored = []
        forms = frozenset(form for quantity in quantities for form in quantity.forms)
        # Where all operations are known, no number is implied.
        implied = frozenset() if expected else implied_numbers(statement)
        self.known = _KnownNumbers(forms | implied)
        self.last: Fraction | None = None  # the latest result
        self.num_searches = 0
        for index, line in enumerate(lines):
            self._read_line(index, line, is_answer=_is_answer(line, conclusion))
        # Steps that the trace leaves out used the numbers that no shown step uses.
        if num_missing:
            self.ignored = self.ignored[2 * num_missing :]
        elif conclusion is not None and conclusion.value is not None and self.last is not None:
            self._explain(conclusion.value, [self.last])

    def _read_line(self, index: int, line: TraceLine, *, is_answer: bool) -> None:
        results = set(line.results)
        for equation in line.equations:
            is_chained = self._is_chained(equation)
            for value in equation.operands:
                if value in self.known or abs(value) in results:
                    continue
                # In a line with algebra, a number may come from steps that we cannot read.
                if not line.is_opaque:
                    is_leap = self._is_leap(abs(value), is_chained=is_chained)
                    (self.leaps if is_leap else self.invented).append(Place(index, _text(value)))
                self.known.add(value)
            self.last = equation.stated
        for value in () if is_answer or line.is_opaque else line.numbers:
            # In prose, mental arithmetic is a leap only once a calculation starts from it.
            is_sourced = value in self.known or abs(value) in results
            if not is_sourced and not self._reaches(abs(value)):
                self.invented.append(Place(index, _text(value)))
                self.known.add(value)
        if line.is_opaque:
            self.known.update(line.numbers)
        self.known.update(results)

    def _is_chained(self, equation: Equation) -> bool:
        """Return whether the equation continues from the latest result."""
        if self.last is None or not equation.operands:
            return False
        is_given = self.last in self.given
        return self.last in (equation.operands[:1] if is_given else equation.operands)

    def _is_leap(self, value: Fraction, *, is_chained: bool) -> bool:
        """Return whether steps that the trace does not show may give the value.

        Where the equation continues the step before, its other number should be given: it is a
        leap only if two numbers that no step uses give it, as in a product left out.
        """
        if self.num_missing is not None:  # the number of steps that are not shown is known
            is_possible = len(self.leaps) < self.num_missing
            return is_possible and (not is_chained or self._explain(value, self.unused))
        if is_chained:
            return self._explain(value, self.unused)
        earlier = [*self.given] if self.last is None else [*self.given, self.last]
        return self._explain(value, earlier) or (self.last is not None and self._reaches(value))

    def _reaches(self, value: Fraction) -> bool:
        self.num_searches += 1
        return self.num_searches <= MAX_SEARCHES and self.known.reaches(value)

    def _explain(self, value: Fraction, others: Iterable[Fraction]) -> bool:
        """Return whether an unused number of the problem and another give the value; use them."""
        others = list(others)[:MAX_KNOWN]
        for a in self.unused:
            for b in others:
                is_pair = a != b or self.unused.count(a) > 1
                if is_pair and value in (a + b, abs(a - b), a * b):
                    self.unused = [number for number in self.unused if number not in (a, b)]
                    self.ignored = [q for q in self.ignored if q.value not in (a, b)]
                    return True
        return False


def _used_numbers(lines: list[TraceLine], conclusion: Conclusion | None) -> Counter[Fraction]:
    """Count all operands, and every number of lines without a readable equation."""
    used: Counter[Fraction] = Counter()
    for line in lines:
        used.update(line.operands)
        if line.is_opaque or not (line.equations or _is_answer(line, conclusion)):
            used.update(line.numbers)
    return used


def _unused_equations(lines: list[TraceLine], conclusion: Conclusion | None) -> list[Place]:
    """Return equations whose result no later line mentions, except those of the last line."""
    later = _KnownNumbers(())
    if conclusion is not None and conclusion.value is not None:
        later.add(conclusion.value)
    unused: list[Place] = []
    is_last = True
    for index in range(len(lines) - 1, -1, -1):
        line = lines[index]
        if not is_last:
            operands = set(line.operands)
            unused += [
                Place(index, equation.text)
                for equation in line.equations
                if equation.stated not in later and equation.stated not in operands
            ]
        is_last = is_last and not line.equations and not line.is_opaque
        later.update((*line.numbers, *line.operands))
    return unused[::-1]


def _text(value: Fraction) -> str:
    return f"{float(value):.6g}"
