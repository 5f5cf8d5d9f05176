"""Compare two real numbers by the digits they are written with.

- A rounded gold (0.33, 8.7e8) sets the precision: a number that rounds to it is right, up to
  MAX_ROUNDING, and so is the gold rounded to three or more digits.
- An exact gold (an integer, a fraction, a root) requires an exact answer or six right digits.
- A gold in floating point means its shortest decimal, in double or in single precision.
- 5% equals both 0.05 and 5; "5 million" equals both 5,000,000 and 5.
"""

import math
import struct
from fractions import Fraction
from typing import NamedTuple

HALF_DIGIT = Fraction(1, 2)  # of a rounded gold's last digit: the numbers that round to it
MAX_ROUNDING = Fraction(5, 100)  # of a rounded gold of one digit
SIX_DIGITS = Fraction(2, 10**6)  # between an exact gold and a decimal number
SIX_DECIMALS = Fraction(1, 2 * 10**6)  # between an integer gold and a decimal number
# Significant digits:
FLOAT_DIGITS = range(15, 18)  # of a number that was certainly stored in floating point
SINGLE_DIGITS = 7  # that any number keeps in single precision
MAX_SINGLE_DIGITS = 9  # of the short decimal of a single
MAX_DOUBLE_DIGITS = 12  # of the short decimal of a double


class WrittenNumber(NamedTuple):
    """A real number as it is written."""

    value: Fraction
    precision: Fraction | None  # the value of its last digit; None: the number is exact
    scale: Fraction = Fraction(1)  # of a percentage or of millions; answers often leave it out


def is_close(gold: WrittenNumber, prediction: WrittenNumber) -> bool:
    """Return whether a number is the gold, exactly or rounded, with or without "percent"."""
    scales = [Fraction(1)]
    if prediction.scale != gold.scale and 1 in (prediction.scale, gold.scale):
        scales.append(prediction.scale / gold.scale)
    unit = prediction.precision
    return any(_is_within_rounding(gold, prediction.value * s, unit and unit * s) for s in scales)


def _is_within_rounding(
    gold: WrittenNumber, prediction: Fraction, precision: Fraction | None
) -> bool:
    distance, size = abs(gold.value - prediction), abs(gold.value)
    if distance == 0:
        return True
    if gold.precision is not None:
        if distance <= min(gold.precision * HALF_DIGIT, size * MAX_ROUNDING):
            return True
        # The gold rounded to as many digits as the prediction has, if those are three or more.
        if precision is None or size < 100 * precision:
            return False
        return distance <= precision * HALF_DIGIT
    if precision is None:
        return False
    return distance <= (SIX_DECIMALS if gold.value.denominator == 1 else size * SIX_DIGITS)


def stored_decimal(value: Fraction, precision: Fraction | None) -> tuple[Fraction, Fraction | None]:
    """Return value and precision of the short decimal that a float stores.

    0.3 for 0.30000000000000004, and 2.2 for 2.200000047683716, which is 2.2 in single precision. A
    float without a short decimal keeps its value and the digits that are certainly right: seven of
    0.33333334 and fifteen of 17.777777777777779. Any other number is returned unchanged.
    """
    least, most = FLOAT_DIGITS[0], FLOAT_DIGITS[-1]
    if precision is None or not precision * 10 ** (least - 1) <= abs(value) < precision * 10**most:
        return value, precision
    number = float(value)
    single = _shortest_single(number)
    if single and _digits(single) <= MAX_SINGLE_DIGITS:
        unit = _unit(single)
        return Fraction(single), unit and unit * 10 ** max(0, _digits(single) - SINGLE_DIGITS)
    for double in (repr(number), f"{number:.15g}"):
        if _digits(double) <= MAX_DOUBLE_DIGITS:
            return Fraction(double), _unit(double)
    return value, max(precision, _unit_of_digit(value, least))


def _digits(text: str) -> int:
    return len(text.partition("e")[0].replace(".", "").strip("-0"))


def _unit(text: str) -> Fraction | None:
    """Return the value of the last digit; None for an integer without an exponent."""
    mantissa, _, exponent = text.partition("e")
    decimals = mantissa.partition(".")[2]
    is_whole = not exponent and not decimals.strip("0")
    return None if is_whole else Fraction(10) ** (int(exponent or 0) - len(decimals))


def _unit_of_digit(value: Fraction, count: int) -> Fraction:
    """Return the value of the last of the first `count` significant digits."""
    unit = Fraction(10) ** (math.floor(math.log10(abs(value))) - count)
    return unit * 10 if abs(value) >= unit * 10**count else unit


def _shortest_single(number: float) -> str:
    """Return the shortest decimal of a number that single precision holds exactly, or ""."""
    try:
        if struct.unpack("f", struct.pack("f", number))[0] != number:
            return ""
    except OverflowError:
        return ""
    texts = (f"{number:.{digits}g}" for digits in range(1, 10))
    return next(
        (t for t in texts if struct.unpack("f", struct.pack("f", float(t)))[0] == number), ""
    )
