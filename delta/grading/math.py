r"""A mathematical answer: the last box, compared structure by structure (docs/grading.md).

- No box is a wrong answer, as on every benchmark. The last of several boxes counts, so that
  \boxed{7} … \boxed{8} answers 8; boxes that "and" or "or" joins are one answer.
- Our own parser reads both sides; Math-Verify only what it does not know (integrals, limits), where
  nothing can be accepted by accident.
- Ungradable is what cannot be compared: a gold, or an answer with mathematics, that does not parse,
  and a value too large to compute.
"""

import re
from functools import lru_cache
from itertools import product

from delta.grading import math_verify_fast
from delta.grading.choice import letter_of_option, plain
from delta.grading.formulas.answer_equality import same_answer
from delta.grading.formulas.answer_parser import readings
from delta.grading.formulas.answer_types import Value
from delta.grading.formulas.box_content import WORDS, formula, same_integral, without_units, words
from delta.grading.formulas.boxes import joined_boxes
from delta.grading.formulas.exact_values import TooLargeError
from delta.grading.formulas.latex_cleaning import cleaned
from delta.grading.formulas.latex_tokens import UnreadableError
from delta.grading.formulas.scalar_equality import check_size
from delta.grading.verdict import Verdict

# What our parser does not read and Math-Verify does; in other texts it might drop what it cannot
# read, and accept by accident.
LEFT_TO_MATH_VERIFY = re.compile(
    r"\\(?:i?int|oint|lim|det|sum|prod|p?mod|bmod|nabla)(?![a-z])"
    r"|\\frac\s*\{\s*(?:d|\\partial)\b|\\begin"
)
APPROXIMATELY = re.compile(r"\\approx(?![a-z])")
LONE_NAME = re.compile(r"\\?[a-zA-Z]+(?:_\{?\w+\}?)?")
MAX_GOLD = 5_000  # characters; the longest in the benchmarks that we read has 210
CALENDAR = re.compile(
    r"\b(mon|tues|wednes|thurs|fri|satur|sun)day\b"
    r"|\b(?:(jan)(?:uary)?|(feb)(?:ruary)?|(mar)(?:ch)?|(apr)(?:il)?|(may)|(jun)e?|(jul)y?"
    r"|(aug)(?:ust)?|(sep)t?(?:ember)?|(oct)(?:ober)?|(nov)(?:ember)?|(dec)(?:ember)?)\b",
    re.IGNORECASE,
)
MEANINGFUL = re.compile(r"=|<|>|\\(?:text|mathrm|mbox|in|le|ge|ne)(?![a-z])")  # more than a formula


def grade(gold_answer: str, answer: str | None, finish_reason: str) -> Verdict:
    """The outcome of one answer, the reply after its reasoning; None: cut before that ended."""
    if not gold_answer.strip():
        return Verdict("ungradable", None, "empty_gold")
    boxes = [] if answer is None else joined_boxes(answer)
    if not boxes:
        cut = answer is None or finish_reason == "length"
        return Verdict("incorrect", None, "cut" if cut else "no_box")
    extracted = ", ".join(boxes)
    outcome, reason = _compared(gold_answer, extracted)
    if len(boxes) > 1 and all(_compared(gold_answer, box)[0] == "correct" for box in boxes):
        # "\boxed{15\frac{39}{40}} or \boxed{\frac{639}{40}}" is one answer in two forms.
        outcome, reason = "correct", None
    return Verdict(outcome, extracted, reason)


@lru_cache(math_verify_fast.REMEMBERED)
def _compared(gold_answer: str, extracted: str) -> tuple[str, str | None]:
    """Outcome and reason of what a box holds; the traces of a problem often have the same."""
    gold_answer = " ".join(gold_answer.split())
    if len(gold_answer) > MAX_GOLD:
        return "ungradable", "too_large"
    gold, prediction = cleaned(gold_answer), cleaned(extracted)
    if not (words(prediction) or _text(prediction)):
        return "incorrect", "empty_box"
    try:
        same = is_same(gold, prediction)
    except (TooLargeError, RecursionError):
        return "ungradable", "too_large"
    if same:
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
    reading = math_verify_fast.read(answer)
    if not (prediction := reading.values()):
        return Verdict("incorrect", None, "cut" if finish_reason == "length" else "no_box")
    extracted = str(prediction[-1])
    if not math_verify_fast.of_gold(gold_answer).values():
        return Verdict("ungradable", extracted, "unparsable_gold")
    if math_verify_fast.is_right(gold_answer, reading):
        return Verdict("correct", extracted, None)
    return Verdict("incorrect", extracted, "different")


def is_same(gold: str, prediction: str) -> bool:
    """Return whether two cleaned answers say the same; TooLargeError where nobody can know."""
    if _text(gold) == _text(prediction):
        return True
    if (gold_words := words(gold)) and (others := words(prediction)):
        if gold_words == others:
            return True
        # As formulas, words with the same letters are equal: `ba` may be `ab`, but no word is.
        if len(gold_words) > 3 or re.search(WORDS, gold):
            return False
    if re.fullmatch(r"\([A-J]\)", gold_letter := plain(gold).strip()):
        return letter_of_option(prediction) == gold_letter[1]
    gold_dates, other_dates = _calendar_names(gold), _calendar_names(prediction)
    if gold_dates and other_dates and gold_dates != other_dates:
        return False  # the parser leaves out words around a number
    ours, theirs = _sides(gold), _sides(prediction)
    return any(_is_same_side(*pair) for pair in product(ours, theirs))


def _calendar_names(answer: str) -> set[str]:
    """Return the months and days of the week in it."""
    return {name.lower() for names in CALENDAR.findall(answer) for name in names if name}


def _sides(answer: str) -> list[str]:
    r"""Return the answers that "\sqrt{2} \approx 1.41" gives; "x \approx 1.41" is one."""
    sides = [side for side in APPROXIMATELY.split(answer) if side.strip()]
    return [answer] if not sides or LONE_NAME.fullmatch(sides[0].strip()) else sides


def _is_same_side(gold: str, prediction: str) -> bool:
    golds, predictions = _readings(gold, True), _readings(prediction, False)
    if golds and predictions:
        return _any_same(golds, predictions)
    for value in golds + predictions:
        check_size(value)
    forms = gold + prediction
    if LEFT_TO_MATH_VERIFY.search(forms) and not MEANINGFUL.search(forms):
        return _verified(gold, prediction)
    return False


def _any_same(golds: list[Value], predictions: list[Value]) -> bool:
    is_unknown = False
    for pair in product(golds, predictions):
        try:
            if same_answer(*pair):
                return True
        except (TooLargeError, RecursionError):
            is_unknown = True
    if is_unknown:
        raise TooLargeError
    return False


@lru_cache(math_verify_fast.REMEMBERED)
def _readings(answer: str, is_gold: bool) -> list[Value]:
    try:
        return readings(answer, is_gold)
    except UnreadableError:
        return []


def _text(answer: str) -> str:
    r"""Return the answer's characters, where spaces and sizes say nothing: x_{1} is x_1."""
    answer = re.sub(r"\\(?:left|right)(?![a-z])", "", answer)
    answer = re.sub(r"(?<!\d)\s|\s(?!\d)", "", answer)  # "1 1/2" is not "11/2"
    answer = re.sub(r"\\[dt]frac(?![a-z])", r"\\frac", answer)
    answer = re.sub(r"(?<=\\pmod)\{(\w+)\}", r"\1", answer)
    return re.sub(r"(?<=[_^])\{(\w)\}", r"\1", answer).rstrip(".")


def _verified(gold: str, prediction: str) -> bool:
    from math_verify import verify

    left, right = formula(gold), formula(prediction)
    if left is None or right is None:
        return False
    same = same_integral(left, right)
    return bool(verify(left, right, timeout_seconds=None)) if same is None else same


def _is_readable(answer: str) -> bool:
    """Return whether "different" is more than "not understood": words, or a value."""
    return bool(
        words(answer)
        or not re.search(r"[\w\\]", answer)
        or any(_readings(side, False) for side in _sides(answer))
        or formula(answer) is not None
        or formula(without_units(answer)) is not None
    )
