r"""A mathematical answer: the last box, compared as text, as a number, then by Math-Verify.

- No box is a wrong answer, as on every benchmark. The last of several boxes counts, so that
  \boxed{7} … \boxed{8} answers 8; several values belong in one box, in any order.
- Exact golds ask for exact answers: 0.333 is not 1/3, but six right digits are (0.333333), as in
  Math-Verify. A gold that is itself rounded (0.33, 8.7e8) asks for its own precision: what rounds
  to it is right, up to 5 % (a gold of one digit would allow half its value), and so is the gold
  rounded to three or more digits. Integers are exact, also those that may have been measured.
- A percentage equals the number with and without the hundredth. Units are not compared.
- Ungradable is what cannot be compared: a gold, or an answer with mathematics, that does not parse.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

from delta.graders import Verdict, math_verify_text
from delta.graders.choice import letter_of_option, plain
from delta.graders.readings import (
    DIGITS,
    WORDS,
    Number,
    cleaned,
    formula,
    last_box,
    number,
    without_name,
    without_units,
    words,
)

LAST_PLACE = Fraction(1, 2)  # of a rounded gold: what rounds to it
WIDEST = Fraction(5, 100)  # of a rounded gold of one digit
SIX_DIGITS = Fraction(2, 10**6)  # between an exact gold and a decimal number
SIX_DECIMALS = Fraction(1, 2 * 10**6)  # between a whole gold and a decimal number
EQUAL = Fraction(1, 10**40)  # between two expressions evaluated to fifty digits
SAME_VALUE = 1e-6  # between the values of two formulas at one point
IN_BASE = re.compile(r"([0-9A-Za-z]+)_\{?(\d+)\}?")  # 52_8


def grade(gold_answer: str, answer: str | None, finish_reason: str) -> Verdict:
    """The outcome of one answer, the reply after its reasoning; None: cut before that ended."""
    if not gold_answer.strip():
        return Verdict("ungradable", None, "empty_gold")
    extracted = None if answer is None else last_box(answer)
    if extracted is None:
        cut = answer is None or finish_reason == "length"
        return Verdict("incorrect", None, "cut" if cut else "no_box")
    outcome, reason = _compared(gold_answer, extracted)
    return Verdict(outcome, extracted, reason)


@lru_cache(math_verify_text.REMEMBERED)
def _compared(gold_answer: str, extracted: str) -> tuple[str, str | None]:
    """Outcome and reason of what a box holds; the traces of a problem often have the same."""
    gold, prediction = cleaned(gold_answer), cleaned(extracted)
    if not (words(prediction) or _text(prediction)):
        return "incorrect", "empty_box"
    if is_same(gold, prediction):
        return "correct", None
    if not _is_readable(gold):
        return "ungradable", "unparsable_gold"
    if not _is_readable(prediction):
        return "ungradable", "unparsable_answer"
    return "incorrect", "different"


def grade_as_math_verify(gold_answer: str, answer: str | None, finish_reason: str) -> Verdict:
    """By Math-Verify alone, as papers report it: its own extraction, which may merge several boxes
    and, where there is no box, takes a formula or number of the text."""
    if not gold_answer.strip():
        return Verdict("ungradable", None, "empty_gold")
    if answer is None:
        return Verdict("incorrect", None, "cut")
    reading = math_verify_text.read(answer)
    if not (prediction := reading.values()):
        return Verdict("incorrect", None, "cut" if finish_reason == "length" else "no_box")
    extracted = str(prediction[-1])
    if not math_verify_text.of_gold(gold_answer).values():
        return Verdict("ungradable", extracted, "unparsable_gold")
    if math_verify_text.is_right(gold_answer, reading):
        return Verdict("correct", extracted, None)
    return Verdict("incorrect", extracted, "different")


def is_same(gold: str, prediction: str) -> bool:
    """Whether two cleaned answers say the same."""
    bare = without_units(gold), without_units(prediction)
    if _text(gold) == _text(prediction) or (bare[0] and _text(bare[0]) == _text(bare[1])):
        return True
    if (gold_words := words(gold)) and (others := words(prediction)):
        if gold_words == others:
            return True
        # As formulas, words with the same letters are equal: `ba` may be `ab`, but no word is.
        if len(gold_words) > 3 or re.search(WORDS, gold):
            return False
    if r"\approx" in prediction and r"\approx" not in gold:
        # "22/7 \approx 3.14" answers with both.
        return any(is_same(gold, side.strip()) for side in prediction.split(r"\approx") if side)
    if re.fullmatch(r"\([A-J]\)", gold_letter := plain(gold).strip()):
        return letter_of_option(prediction) == gold_letter[1]
    gold, prediction = _same_base(gold, prediction)
    if not ("=" in gold and "=" in prediction):
        left, right = number(gold), number(prediction)
        if left is not None and right is not None:
            return _is_close(left, right)
    bare = without_units(gold), without_units(prediction)
    return any(_verified(*forms) for forms in dict.fromkeys(((gold, prediction), bare)))


def _text(answer: str) -> str:
    r"""The answer's characters, where spaces and the size of brackets say nothing: x_{1} is x_1."""
    answer = re.sub(r"\\(?:left|right)(?![a-z])|\s", "", answer)
    answer = re.sub(r"\\[dt]frac(?![a-z])", r"\\frac", answer)
    return re.sub(r"(?<=[_^])\{(\w)\}", r"\1", answer).rstrip(".")


def _same_base(gold: str, prediction: str) -> tuple[str, str]:
    """52_8 and 52_9 as their values; the base is often left out of a box, then digits count."""
    numbers = [IN_BASE.fullmatch(_text(without_name(answer))) for answer in (gold, prediction)]
    if not all(found and 2 <= int(found[2]) <= 36 for found in numbers):
        digits = [found[1] if found and found[1].isdigit() else None for found in numbers]
        return digits[0] or gold, digits[1] or prediction
    try:
        values = [str(int(found[1], int(found[2]))) for found in numbers if found]
    except ValueError:
        return gold, prediction
    return values[0], values[1]


def _is_close(gold: Number, prediction: Number) -> bool:
    """Whether two numbers are equal, with or without the percent sign or the word "million"."""
    return any(
        _is_near(gold, prediction.value * scale, prediction.place and prediction.place * scale)
        for scale in dict.fromkeys((Fraction(1), prediction.scale / gold.scale))
        if scale == 1 or 1 in (prediction.scale, gold.scale)
    )


def _is_near(gold: Number, prediction: Fraction, place: Fraction | None) -> bool:
    distance, size = abs(gold.value - prediction), abs(gold.value)
    if distance <= size * EQUAL:
        return True
    if gold.place is not None:
        if distance <= min(gold.place * LAST_PLACE, size * WIDEST):
            return True
        # The gold rounded to as many digits as the prediction has, if those are three or more.
        return place is not None and size >= 100 * place and distance <= place * LAST_PLACE
    if place is None:
        return False
    return distance <= (SIX_DECIMALS if gold.value.denominator == 1 else size * SIX_DIGITS)


def _verified(gold: str, prediction: str) -> bool:
    from math_verify import verify

    left, right = formula(gold), formula(prediction)
    if left is None or right is None:
        return False
    # `x < 1` and `(-\\infty, 1)` are one set.
    same = verify(left, right, timeout_seconds=None, allow_set_relation_comp=True)
    return bool(same) and not _differ_at_a_point(left, right)


def _differ_at_a_point(left: Any, right: Any) -> bool:
    """Math-Verify drops small coefficients: 3e-16 x would be 5e-16 x."""
    from sympy import Derivative, Eq, Expr, Rational

    if isinstance(left, Eq) and isinstance(right, Eq) and left.lhs == right.lhs:
        left, right = left.rhs, right.rhs
    if not all(isinstance(side, Expr) and not side.has(Derivative) for side in (left, right)):
        return False
    if left.free_symbols != right.free_symbols:
        return False
    symbols = sorted(left.free_symbols, key=str)
    point = {symbol: Rational(7 + 4 * place, 5) for place, symbol in enumerate(symbols)}
    values = [side.subs(point).evalf(DIGITS) for side in (left, right)]
    if not all(getattr(value, "is_Float", False) for value in values):
        return False
    return bool(abs(values[0] - values[1]) > abs(values[0]) * SAME_VALUE)


def _is_readable(answer: str) -> bool:
    """Whether "different" is more than "not understood": words, or a formula, or no mathematics."""
    return bool(
        words(answer)
        or not re.search(r"[\w\\]", answer)
        or number(answer)
        or formula(answer) is not None
        or formula(without_units(answer)) is not None
    )
