"""When two real numbers are equal, by how they are written.

- A gold that is rounded (0.33, 8.7e8) asks for its own precision: what rounds to it is right, up to
  WIDEST, and so is the gold rounded to three or more digits.
- An exact gold (a whole number, a fraction, a root) asks for exact answers or six right digits.
- A gold in floating point means what its shortest decimal says, in double or in single precision.
- A percentage equals the number with and without the hundredth, a million one with the word alone.
"""

import math
import struct
from fractions import Fraction
from typing import NamedTuple

LAST_PLACE = Fraction(1, 2)  # of a rounded gold: what rounds to it
WIDEST = Fraction(5, 100)  # of a rounded gold of one digit
SIX_DIGITS = Fraction(2, 10**6)  # between an exact gold and a decimal number
SIX_DECIMALS = Fraction(1, 2 * 10**6)  # between a whole gold and a decimal number
LONG = 15  # significant digits that hardly anything but floating point has
LONGEST = 17  # significant digits of floating point
SINGLE = 7  # significant digits that any number keeps in single precision
SHORT = 12  # significant digits that a number may have that was computed in double precision


class Number(NamedTuple):
    """A real number as it is written."""

    value: Fraction
    place: Fraction | None  # the value of its last digit; None: the number is exact
    scale: Fraction  # of a percentage, or of millions, which often are not written


def is_close(gold: Number, prediction: Number) -> bool:
    """Whether two numbers are equal, with or without the percent sign or the word "million"."""
    return any(
        is_near(gold, prediction.value * scale, prediction.place and prediction.place * scale)
        for scale in dict.fromkeys((Fraction(1), prediction.scale / gold.scale))
        if scale == 1 or 1 in (prediction.scale, gold.scale)
    )


def is_near(gold: Number, prediction: Fraction, place: Fraction | None) -> bool:
    distance, size = abs(gold.value - prediction), abs(gold.value)
    if distance == 0:
        return True
    if gold.place is not None:
        if distance <= min(gold.place * LAST_PLACE, size * WIDEST):
            return True
        # The gold rounded to as many digits as the prediction has, if those are three or more.
        return place is not None and size >= 100 * place and distance <= place * LAST_PLACE
    if place is None:
        return False
    return distance <= (SIX_DECIMALS if gold.value.denominator == 1 else size * SIX_DIGITS)


def stored_decimal(value: Fraction, place: Fraction | None) -> tuple[Fraction, Fraction | None]:
    """0.3 for 0.30000000000000004, and 2.2 for 2.200000047683716, which is 2.2 in single precision.

    A value without a short decimal keeps it and the digits that are surely right: 0.33333334 has
    seven and 17.777777777777779 fifteen. Any other number is returned as it is.
    """
    if place is None or not place * 10 ** (LONG - 1) <= abs(value) < place * 10**LONGEST:
        return value, place
    number = float(value)
    for text, most in (
        (_shortest_single(number), 9),
        (repr(number), SHORT),
        (f"{number:.15g}", SHORT),
    ):
        mantissa, _, exponent = text.partition("e")
        decimals = mantissa.partition(".")[2]
        digits = len(mantissa.replace(".", "").strip("-0"))
        if text and digits <= most:
            is_whole = not exponent and not decimals.strip("0")
            unit = Fraction(10) ** (int(exponent or 0) - len(decimals))
            if most != SHORT:
                unit *= 10 ** max(0, digits - SINGLE)
            return Fraction(text), None if is_whole else unit
    return value, max(place, _unit_of_digit(value, LONG))


def _unit_of_digit(value: Fraction, count: int) -> Fraction:
    """The value of the last of the first `count` significant digits."""
    unit = Fraction(10) ** (math.floor(math.log10(abs(value))) - count)
    return unit * 10 if abs(value) >= unit * 10**count else unit


def _shortest_single(number: float) -> str:
    """The shortest decimal of a number that single precision holds exactly, or ""."""
    try:
        if struct.unpack("f", struct.pack("f", number))[0] != number:
            return ""
    except OverflowError:
        return ""
    texts = (f"{number:.{digits}g}" for digits in range(1, 10))
    return next(
        (t for t in texts if struct.unpack("f", struct.pack("f", float(t)))[0] == number), ""
    )
