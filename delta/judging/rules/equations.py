"""Find the equations a reasoning trace writes down and check them by exact arithmetic.

Evidence for `rate`, our own rater for the rubric of arXiv 2604.08723, appendix A.1.
The one principle: an expression we cannot read for certain (a variable, a unit we cannot tell
from a variable, a function, a modulus) is *no equation*. It is never a wrong one.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from delta.judging.rules.arithmetic import Item, evaluate
from delta.judging.rules.tokenize import read_items, read_numbers


class Equation(NamedTuple):
    """One `left = right` that could be read; a chain a = b = c gives two of them."""

    text: str
    operands: tuple[Fraction, ...]  # the numbers that were combined
    computed: Fraction  # what the combined side comes to
    stated: Fraction  # what the trace says it comes to
    holds: bool

    @property
    def is_rounding(self) -> bool:
        """Off by less than one whole: 16/3 = 5 bags, rounded without a word."""
        return self.stated.denominator == 1 and abs(self.computed - self.stated) < 1

    @property
    def results(self) -> tuple[Fraction, Fraction]:
        return (self.stated, self.computed)


class Line(NamedTuple):
    """One line of a trace: its equations, its numbers, and whether it has maths we did not read."""

    text: str
    equations: tuple[Equation, ...]
    numbers: tuple[Fraction, ...]
    opaque: bool

    @property
    def operands(self) -> list[Fraction]:
        return [value for equation in self.equations for value in equation.operands]

    @property
    def results(self) -> list[Fraction]:
        return [value for equation in self.equations for value in equation.results]


class _Side(NamedTuple):
    items: tuple[Item, ...]
    values: tuple[Fraction, ...]  # one, or two where "%" may mean "/100" or just the unit
    lone: bool  # a single number, so a result and not a calculation


_NOTE = re.compile(r"<<([^<>\n]*+)>>")  # GSM8K's calculator notes
_MODULUS = re.compile(r"\bmod\b|\\[pb]?mod", re.IGNORECASE)


def read_lines(text: str) -> list[Line]:
    """Split a trace into lines and read each; blank lines are left out."""
    lines: list[Line] = []
    for raw in _logical_lines(text):
        if "=" not in raw and "≈" not in raw and "\\" not in raw:
            # Nine lines of ten in a long trace are prose: only their numbers matter.
            lines.append(Line(raw, (), read_numbers(raw), opaque=False))
            continue
        items = read_items(_NOTE.sub("", raw))
        if _MODULUS.search(raw):  # 3^4 = 1 (mod 5) is right
            items = [item for item in items if item.kind != "="]
        equations: dict[tuple[object, ...], Equation] = {}
        for note in _NOTE.findall(raw):
            _add_equations(equations, read_items(note))
        # The note and the text around it state the same step: one equation, unless they differ.
        _add_equations(equations, items)
        lines.append(
            Line(
                text=raw,
                equations=tuple(equations.values()),
                numbers=tuple(item.value for item in items if item.kind == "n"),
                opaque=any(item.kind == "v" for item in items),
            )
        )
    return lines


def find_equations(text: str) -> list[Equation]:
    """Every equation of a text that could be read, in order."""
    return [equation for line in read_lines(text) for equation in line.equations]


def read_value(text: str) -> Fraction | None:
    """The number or arithmetic expression that a text begins with, such as "$1,080" or "3/4"."""
    side = _read_side(_head(read_items(text)))
    return side.values[-1] if side else None


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without the blank ones; a line that begins with "=" continues the one before."""
    pending = ""
    for raw in text.replace("\\\\", "\n").split("\n"):
        line = raw.strip()
        if line.startswith(("=", "&=", "& =")) and pending:
            # Only the tail can matter, and a cut keeps a thousand continuations linear.
            pending = pending[-2000:] + " " + line
            continue
        if pending:
            yield pending
        pending = line
    if pending:
        yield pending


def _add_equations(found: dict[tuple[object, ...], Equation], items: list[Item]) -> None:
    """Read each "=" between the expression that ends before it and the one that starts after."""
    signs = [place for place, item in enumerate(items) if item.kind == "="]
    edges = [-1, *signs, len(items)]
    for number, sign in enumerate(signs):
        before = _tail(items[edges[number] + 1 : sign])
        after = _head(items[sign + 1 : edges[number + 2]])
        if len(before) + len(after) < 4:
            continue  # no room for "a + b = c": spares the work on "x = 5"
        left, right = _read_side(before), _read_side(after)
        if left is None or right is None or (left.lone and (right.lone or left.items[-1].has_unit)):
            continue  # "1 week = 7 days" and "2 cats = 60/2 = 30" define, they do not calculate
        equation = _compare(left, right, is_rounded=items[sign].text == "≈")
        found.setdefault((equation.operands, equation.stated), equation)


def _tail(segment: list[Item]) -> list[Item]:
    """The expression that ends a segment: all after the last break or unclosed bracket."""
    depth = 0
    for place in range(len(segment) - 1, -1, -1):
        kind = segment[place].kind
        depth += {")": 1, "(": -1}.get(kind, 0)
        if kind == "v":
            return []  # "f(3) = 7": what stands beside a variable belongs to it
        if depth < 0 or kind == "b":
            # A bracket that a break cuts open is a call or a tuple: (3, 4), max(1, 2).
            is_whole = depth <= 0 and not _is_signed_word(segment, place)
            return segment[place + 1 :] if is_whole else []
    return segment


def _is_signed_word(segment: list[Item], place: int) -> bool:
    """ "cost - 5 = 20": after a word a leading sign is a subtraction from something unread."""
    follows = segment[place + 1 : place + 2]
    return bool(follows) and follows[0].kind == "o"


def _head(segment: list[Item]) -> list[Item]:
    """The expression that begins a segment: all before the first break or unopened bracket."""
    depth = 0
    for place, item in enumerate(segment):
        depth += {"(": 1, ")": -1}.get(item.kind, 0)
        if item.kind == "v":
            return []
        if depth < 0 or item.kind == "b":
            return segment[:place] if depth <= 0 else []
    return segment


def _read_side(items: list[Item]) -> _Side | None:
    values = evaluate(items)
    lone = sum(item.kind != "o" for item in items) == 1
    return _Side(tuple(items), values, lone) if values else None


def _compare(left: _Side, right: _Side, *, is_rounded: bool) -> Equation:
    """Compare two sides as exactly as the digits shown allow (a rounded or a cut last digit)."""
    combined, shown = (right, left) if left.lone else (left, right)
    tolerance = _tolerance(shown, is_rounded=is_rounded)
    holds = combined.values == shown.values or any(
        abs(a - b) <= max(tolerance * (abs(b) if not shown.lone else unit), abs(b) / 10**9)
        for a in combined.values
        for b, unit in zip(shown.values, _units(shown), strict=True)
    )
    return Equation(
        text=" ".join(item.text for item in (*left.items, Item("=", "="), *right.items))[:80],
        operands=tuple(item.value for item in combined.items if item.kind == "n"),
        computed=combined.values[0],
        stated=shown.values[-1] if shown.lone else shown.values[0],
        holds=holds,
    )


def _tolerance(shown: _Side, *, is_rounded: bool) -> Fraction:
    """How far off a side may be: in units of its last digit if a number, else relative."""
    if shown.lone:
        # 5/2 = 2 is wrong, 5/2 ≈ 2 is rounded; 5/3 = 1.66 and 1.67 are both fine.
        return Fraction(1 if is_rounded or _decimals(shown) else 0)
    has_decimals = any("." in item.text for item in shown.items)
    return Fraction(1, 100) if is_rounded or has_decimals else Fraction(0)


def _units(shown: _Side) -> tuple[Fraction, ...]:
    unit = Fraction(1, 10 ** _decimals(shown))
    return (unit / 100, unit) if len(shown.values) == 2 else (unit,)


def _decimals(shown: _Side) -> int:
    return len(shown.items[-1].text.rstrip("%").partition(".")[2])
