"""Evaluate an arithmetic expression exactly, within bounds for adversarial text."""

from fractions import Fraction
from typing import NamedTuple

MAX_EXPONENT = 64  # 2^64 is evaluated, 9^9^9 is not
MAX_BITS = 512  # of any intermediate numerator or denominator
MAX_ITEMS = 400  # in one expression
MAX_DEPTH = 30  # of brackets; far below Python's recursion limit


class Item(NamedTuple):
    """A number, sign or bracket of an arithmetic expression."""

    # number, operator, open or close (bracket), fraction (\frac), equals, break (between
    # expressions) or opaque (mathematics that we do not read)
    kind: str
    text: str
    value: Fraction = Fraction(0)
    percent: bool = False
    has_unit: bool = False


class _UnreadableError(Exception):
    """The items are not one complete arithmetic expression within our bounds."""


def evaluate(items: list[Item]) -> tuple[Fraction, ...]:
    """Return the value; two if "%" may mean "/100" or a unit; none if unreadable."""
    if not items or len(items) > MAX_ITEMS:
        return ()
    has_percent = any(item.percent for item in items)
    scales = (Fraction(1, 100), Fraction(1)) if has_percent else (Fraction(1),)
    try:
        return tuple(_Parser(items, scale).read() for scale in scales)
    except (_UnreadableError, ZeroDivisionError):
        return ()


class _Parser:
    """Bounded recursive descent over items."""

    def __init__(self, items: list[Item], percent_scale: Fraction) -> None:
        self.items = items
        self.percent_scale = percent_scale
        self.position = 0

    def read(self) -> Fraction:
        value = self._sum(0)
        if self.position != len(self.items):
            raise _UnreadableError
        return value

    def _next(self) -> str:
        """Return the next operator's sign or other item's kind, or "" at the end."""
        if self.position == len(self.items):
            return ""
        item = self.items[self.position]
        return item.text if item.kind == "operator" else item.kind

    def _sum(self, depth: int) -> Fraction:
        value = self._product(depth)
        while (sign := self._next()) in ("+", "-"):
            self.position += 1
            term = self._product(depth)
            value = _bounded(value + term if sign == "+" else value - term)
        return value

    def _product(self, depth: int) -> Fraction:
        value = self._power(depth)
        while (sign := self._next()) in ("*", "/", "open"):
            self.position += sign != "open"  # 2(3 + 4): no sign to step over
            factor = self._power(depth)
            value = _bounded(value / factor if sign == "/" else value * factor)
        return value

    def _power(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise _UnreadableError
        if (sign := self._next()) in ("-", "+"):
            self.position += 1
            value = self._power(depth + 1)
            return -value if sign == "-" else value
        base = self._atom(depth)
        if self._next() != "^":
            return base
        self.position += 1
        exponent = self._power(depth + 1)
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        is_small = abs(exponent) <= MAX_EXPONENT and size * abs(exponent) <= 2 * MAX_BITS
        if exponent.denominator != 1 or not is_small:
            raise _UnreadableError
        return _bounded(Fraction(base ** int(exponent)))

    def _atom(self, depth: int) -> Fraction:
        kind = self._next()
        if kind == "open":
            return self._group(depth)
        if kind == "fraction":
            self.position += 1
            return self._group(depth) / self._group(depth)
        if kind != "number":
            raise _UnreadableError
        item = self.items[self.position]
        self.position += 1
        value = item.value * self.percent_scale if item.percent else item.value
        return value + self._mixed_part(depth, value)

    def _mixed_part(self, depth: int, whole: Fraction) -> Fraction:
        """Read the 1/2 of "2 1/2" or 2\\frac{1}{2}; other adjacent numbers are unreadable."""
        if (kind := self._next()) not in ("number", "fraction"):
            return Fraction(0)
        if kind == "fraction":
            part = self._atom(depth)
        else:
            texts = [item.text for item in self.items[self.position : self.position + 3]]
            if len(texts) < 3 or texts[1] != "/" or not (texts[0] + texts[2]).isdigit():
                raise _UnreadableError
            part = Fraction(int(texts[0]), int(texts[2]))
            self.position += 3
        if whole.denominator != 1 or not 0 < part < 1:
            raise _UnreadableError
        return part

    def _group(self, depth: int) -> Fraction:
        if self._next() != "open" or depth > MAX_DEPTH:
            raise _UnreadableError
        self.position += 1
        value = self._sum(depth + 1)
        if self._next() != "close":
            raise _UnreadableError
        self.position += 1
        return value


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise _UnreadableError
    return value
