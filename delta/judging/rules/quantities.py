"""Find a statement's numbers, the numbers its units imply, and a trace's conclusion."""

import re
from fractions import Fraction
from typing import NamedTuple

from delta.judging.rules.equations import read_value


class Quantity(NamedTuple):
    """A number of the statement, and the forms a trace may use: 30% is also 0.3, 0.7 and 1.3."""

    value: Fraction
    forms: frozenset[Fraction]
    is_needed: bool = True  # a trace that never uses it ignores a constraint


class Conclusion(NamedTuple):
    """The end of a trace that states its answer; `value` is None if that is not a number."""

    text: str
    value: Fraction | None


_STATEMENT_NUMBER = re.compile(
    r"(?P<number>(?:\d{1,3}(?:,\d{3})++(?!\d)|\d{1,30})(?:\.\d{1,30})?|\.\d{1,30})"
    r"(?:\s?/\s?(?P<over>\d{1,9})(?![\d.]))?(?P<percent>\s?(?:\\?%|percent))?|(?P<word>[a-z]++)"
)
_NUMBER_WORDS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14,
    "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20,
    "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
    "ninety": 90, "hundred": 100, "thousand": 1000, "dozen": 12, "twice": 2, "double": 2,
    "triple": 3, "thrice": 3, "quadruple": 4,
}  # fmt: skip
_FRACTION_WORDS = {
    "half": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4,
    "fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "eighth": 8, "tenth": 10, "tenths": 10,
}  # fmt: skip
# Numbers that a unit implies: statements need not say that a week has seven days.
_UNITS = {
    "week": (7, 52), "month": (12, 30, 4), "year": (12, 52, 365), "day": (24, 7, 30, 365),
    "hour": (60, 24, 3600), "minute": (60,), "second": (60, 3600), "dozen": (12,),
    "foot": (12, 3), "feet": (12, 3), "inch": (12,), "yard": (3,), "mile": (5280,),
    "pound": (16,), "ounce": (16,), "kilo": (1000,), "kilometer": (1000,), "meter": (1000,),
    "kg": (1000,), "km": (1000,), "gram": (1000,), "cent": (100,), "quarter": (25, 4),
    "dime": (10,), "nickel": (5,), "decade": (10,), "century": (100,), "triangle": (3, 180),
    "square": (4,), "rectangle": (4,), "weekend": (2, 5), "weekday": (5,), "am": (12, 24),
    "pm": (12, 24), "noon": (12,), "midnight": (12, 24), "weekly": (7, 52),
    "daily": (7, 30, 365), "monthly": (12,), "yearly": (12,), "annual": (12,), "daytime": (24,),
}  # fmt: skip
# For doubling and halving, "the other one", percent.
_ALWAYS = frozenset((Fraction(0), Fraction(1), Fraction(2), Fraction(100), Fraction(1, 100)))
_MARKED_ANSWER = re.compile(
    r"^[ \t]{0,8}(?:A|Answer)[ \t]{0,8}:(.{1,200})|####(.{1,200})"
    r"|(?:final answer|answer is|answer:)(.{1,200})",
    re.IGNORECASE | re.MULTILINE,
)


def find_quantities(statement: str) -> list[Quantity]:
    """Return the distinct numbers of a statement, in digits or words."""
    quantities: dict[Fraction, Quantity] = {}
    # The coordinates of a figure ([asy] code in MATH) are not data of the problem.
    first, *figures = statement.lower().split("[asy]")
    prose = " ".join((first, *(text.partition("[/asy]")[2] for text in figures)))
    for match in _STATEMENT_NUMBER.finditer(prose):
        quantity = _word_quantity(match["word"]) if match["word"] else _digit_quantity(match)
        if quantity is not None:
            quantities.setdefault(quantity.value, quantity)
    return [quantity for quantity in quantities.values() if quantity.value > 0]


def number_tokens(text: str) -> list[Fraction]:
    """Return all whole numbers of a text in their order, in digits or words, also equal ones."""
    values = []
    for match in _STATEMENT_NUMBER.finditer(text.lower()):
        quantity = _word_quantity(match["word"]) if match["word"] else _digit_quantity(match)
        if quantity is not None and match["word"] not in ("one", "double", "twice", "triple"):
            values.append(quantity.value)
    return values


def _word_quantity(word: str) -> Quantity | None:
    if word in _FRACTION_WORDS:
        return _fraction_quantity(Fraction(1, _FRACTION_WORDS[word]))
    if word not in _NUMBER_WORDS:
        return None
    value = Fraction(_NUMBER_WORDS[word])
    # "One" is an article, "two" counts people in the story, "dozen" is a unit.
    return Quantity(value, frozenset({value}), is_needed=value > 2 and word != "dozen")


def _digit_quantity(match: re.Match[str]) -> Quantity | None:
    value = Fraction(match["number"].replace(",", ""))
    if match["over"] and int(match["over"]):
        return _fraction_quantity(value / int(match["over"]))
    if match["percent"]:
        part = value / 100
        return Quantity(value, frozenset({value, part, 1 - part, 1 + part, 100 - value}))
    return Quantity(value, frozenset({value}), is_needed=value > 1 or value.denominator != 1)


def _fraction_quantity(part: Fraction) -> Quantity:
    """Return a fraction as a quantity: a trace may use a third as 1/3, 2/3, 4/3 or a 3."""
    numbers = map(Fraction, (part.numerator, part.denominator))
    return Quantity(part, frozenset({part, 1 - part, 1 + part, *numbers} - {Fraction(1)}))


def implied_numbers(statement: str) -> frozenset[Fraction]:
    """Return numbers without need of a source: those that the units imply, and _ALWAYS."""
    words = set(re.findall(r"[a-z]++", statement.lower()))
    units = (_UNITS.get(word) or _UNITS.get(word.removesuffix("s"), ()) for word in words)
    return _ALWAYS | {Fraction(value) for values in units for value in values}


def find_conclusion(trace: str) -> Conclusion | None:
    """Return the content of the last box, or else the last marked answer."""
    start = trace.rfind("\\boxed{")
    if start >= 0:
        text = _braced(trace[start + len("\\boxed{") : start + 500])
    else:
        marked = [match[1] or match[2] or match[3] for match in _MARKED_ANSWER.finditer(trace)]
        text = marked[-1] if marked else ""
    text = text.strip().lstrip(":* ").rstrip(".* ")
    return Conclusion(text, read_value(text)) if text else None


def _braced(text: str) -> str:
    """Return the text up to the closing brace of the box; all of it without one."""
    depth = 1
    for index, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return text[:index]
    return text
