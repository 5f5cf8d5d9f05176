"""Find the equations that a trace writes down and check them by exact arithmetic.

An expression that cannot be read for certain (a variable, a unit like a variable, a function, a
modulus) is not an equation. It never counts as a wrong one.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from delta.judging.rules.arithmetic import Item, evaluate
from delta.judging.rules.tokenize import SAYS_EQUAL, read_items, read_numbers

Operation = tuple[str, Fraction]  # a sign and the number after it; the first number has no sign


class Equation(NamedTuple):
    """A readable `left = right`; a chain a = b = c gives two."""

    text: str
    operands: tuple[Fraction, ...]  # the numbers on the calculated side
    operations: tuple[Operation, ...]  # of the calculated side; empty if it has more than numbers
    computed: Fraction  # the value of the calculated side
    stated: Fraction  # the value that the trace states
    holds: bool

    @property
    def is_rounding(self) -> bool:
        """Return whether a stated integer is off by less than 1: 16/3 = 5 bags."""
        return self.stated.denominator == 1 and abs(self.computed - self.stated) < 1

    @property
    def results(self) -> tuple[Fraction, Fraction]:
        """Return the stated and the computed value."""
        return (self.stated, self.computed)


class TraceLine(NamedTuple):
    """One line of a trace."""

    text: str
    equations: tuple[Equation, ...]
    numbers: tuple[Fraction, ...]
    is_opaque: bool  # it has mathematics that we cannot read

    @property
    def operands(self) -> list[Fraction]:
        """Return the numbers on the calculated sides of all equations."""
        return [value for equation in self.equations for value in equation.operands]

    @property
    def results(self) -> list[Fraction]:
        """Return the stated and the computed value of each equation."""
        return [value for equation in self.equations for value in equation.results]


class _EquationSide(NamedTuple):
    items: tuple[Item, ...]
    values: tuple[Fraction, ...]  # two if "%" may mean "/100" or just a unit
    is_number: bool  # a result and not a calculation


_NOTE = re.compile(r"<<([^<>\n]*+)>>")  # GSM8K's calculator notes
_STATED_RESULT = re.compile(rf"[\d)$] (?:{'|'.join(SAYS_EQUAL)}) [\d($]")  # "3 + 4 is 7"
_MODULUS = re.compile(r"\bmod\b|\\[pb]?mod", re.IGNORECASE)


def read_lines(text: str) -> list[TraceLine]:
    """Split a trace into lines, skip blank ones, and read each."""
    lines: list[TraceLine] = []
    for raw in _logical_lines(text):
        has_mathematics = "=" in raw or "≈" in raw or "\\" in raw
        if not has_mathematics and not _STATED_RESULT.search(raw):
            # Nine of ten lines in a long trace are prose: only their numbers matter.
            lines.append(TraceLine(raw, (), read_numbers(raw), is_opaque=False))
            continue
        items = read_items(_NOTE.sub("", raw))
        if _MODULUS.search(raw):  # 3^4 = 1 (mod 5) is right
            items = [item for item in items if item.kind != "equals"]
        equations: dict[tuple[object, ...], Equation] = {}
        for note in _NOTE.findall(raw):
            _add_equations(equations, read_items(note))
        # A note and the text around it state the same step: one equation, unless they differ.
        _add_equations(equations, items)
        lines.append(
            TraceLine(
                text=raw,
                equations=tuple(equations.values()),
                numbers=tuple(item.value for item in items if item.kind == "number"),
                is_opaque=any(item.kind == "opaque" for item in items),
            )
        )
    return lines


def read_value(text: str) -> Fraction | None:
    """Return the value of the expression at the start of a text: "$1,080" or "3/4"."""
    side = _read_side(_first_expression(read_items(text)))
    return side.values[-1] if side else None


def flat_operations(items: tuple[Item, ...]) -> tuple[Operation, ...]:
    """Return each number with the sign before it; empty if there is more than numbers and signs."""
    operations: list[Operation] = []
    if items and items[0].text == "-":
        items = items[1:]  # of the first number, not an operation
    for sign, number in zip([Item("operator", ""), *items[1::2]], items[::2], strict=False):
        is_read = number.kind == "number" and not number.percent
        if sign.kind != "operator" or sign.text == "^" or not is_read:
            return ()
        operations.append((sign.text, number.value))
    return tuple(operations) if len(items) % 2 else ()


def _logical_lines(text: str) -> Iterator[str]:
    """Yield lines that are not blank; a line that begins with "=" continues the one before."""
    pending = ""
    for raw in text.replace("\\\\", "\n").split("\n"):
        line = raw.strip()
        if line.startswith(("=", "&=", "& =")) and pending:
            # Only the end matters; the cut keeps a thousand continuations linear.
            pending = pending[-2000:] + " " + line
            continue
        if pending:
            yield pending
        pending = line
    if pending:
        yield pending


def _add_equations(equations: dict[tuple[object, ...], Equation], items: list[Item]) -> None:
    """Add an equation for each "=", from the expressions before and after it."""
    signs = [index for index, item in enumerate(items) if item.kind == "equals"]
    edges = [-1, *signs, len(items)]
    for number, sign in enumerate(signs):
        before = _last_expression(items[edges[number] + 1 : sign])
        after = _first_expression(items[sign + 1 : edges[number + 2]])
        if len(before) + len(after) < 4:
            continue  # shorter than "a + b = c": spares the work on "x = 5"
        left, right = _read_side(before), _read_side(after)
        if left is None or right is None:
            continue
        if left.is_number and (right.is_number or left.items[-1].has_unit):
            continue  # "1 week = 7 days" and "2 cats = 60/2 = 30" define and do not calculate
        equation = _compare(left, right, is_rounded=items[sign].text == "≈")
        equations.setdefault((equation.operands, equation.stated), equation)


def _last_expression(segment: list[Item]) -> list[Item]:
    """Return the items after the last break or unclosed bracket."""
    depth = 0
    for index in range(len(segment) - 1, -1, -1):
        kind = segment[index].kind
        depth += {"close": 1, "open": -1}.get(kind, 0)
        if kind == "opaque":
            return []  # "f(3) = 7": numbers beside a variable belong to it
        if depth < 0 or kind == "break":
            # A bracket that contains a break is a call or a tuple: (3, 4), max(1, 2).
            is_whole = depth <= 0 and not _is_signed_word(segment, index)
            return segment[index + 1 :] if is_whole else []
    return segment


def _is_signed_word(segment: list[Item], index: int) -> bool:
    """Return whether a sign follows a word: "cost - 5 = 20" subtracts from something unread."""
    following = segment[index + 1 : index + 2]
    return bool(following) and following[0].kind == "operator"


def _first_expression(segment: list[Item]) -> list[Item]:
    """Return the items before the first break or unopened bracket."""
    depth = 0
    for index, item in enumerate(segment):
        depth += {"open": 1, "close": -1}.get(item.kind, 0)
        if item.kind == "opaque":
            return []
        if depth < 0 or item.kind == "break":
            return segment[:index] if depth <= 0 else []
    return segment


def _read_side(items: list[Item]) -> _EquationSide | None:
    values = evaluate(items)
    is_number = sum(item.kind != "operator" for item in items) == 1
    return _EquationSide(tuple(items), values, is_number) if values else None


def _compare(left: _EquationSide, right: _EquationSide, *, is_rounded: bool) -> Equation:
    """Compare two sides as exactly as the digits allow: the last digit may be rounded or cut."""
    calculated, stated = (right, left) if left.is_number else (left, right)
    tolerance = _tolerance(stated, is_rounded=is_rounded)
    holds = calculated.values == stated.values or any(
        abs(a - b) <= max(tolerance * (unit if stated.is_number else abs(b)), abs(b) / 10**9)
        for a in calculated.values
        for b, unit in zip(stated.values, _last_digit_units(stated), strict=True)
    )
    items = (*left.items, Item("equals", "="), *right.items)
    return Equation(
        text=" ".join(item.text for item in items)[:80],
        operands=tuple(item.value for item in calculated.items if item.kind == "number"),
        operations=flat_operations(calculated.items),
        computed=calculated.values[0],
        stated=stated.values[-1] if stated.is_number else stated.values[0],
        holds=holds,
    )


def _tolerance(stated: _EquationSide, *, is_rounded: bool) -> Fraction:
    """Return the allowed error: in units of a number's last digit, or relative."""
    if stated.is_number:
        # 5/2 = 2 is wrong and 5/2 ≈ 2 is rounded; 5/3 = 1.66 and 5/3 = 1.67 are both right.
        return Fraction(1 if is_rounded or _decimals(stated) else 0)
    has_decimals = any("." in item.text for item in stated.items)
    return Fraction(1, 100) if is_rounded or has_decimals else Fraction(0)


def _last_digit_units(stated: _EquationSide) -> tuple[Fraction, ...]:
    """Return the unit of the last digit of each value."""
    unit = Fraction(1, 10 ** _decimals(stated))
    return (unit / 100, unit) if len(stated.values) == 2 else (unit,)


def _decimals(stated: _EquationSide) -> int:
    return len(stated.items[-1].text.rstrip("%").partition(".")[2])
