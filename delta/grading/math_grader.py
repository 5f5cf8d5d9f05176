r"""Grade a mathematical answer: the last box, compared structure by structure (docs/grading.md).

- An answer without a box is wrong, as on every benchmark. The last of several boxes counts, so that
  \boxed{7} ... \boxed{8} answers 8. Boxes joined by "and" or "or" are one answer.
- Our parser reads both sides. Math-Verify reads only the formulas that our parser does not know
  (integrals, limits) and that it cannot accept by accident.
- An answer is ungradable if its gold or its mathematics does not parse, or if a value is too large
  to compute.
"""

import re
from functools import lru_cache
from itertools import product

from delta.grading import math_verify_adapter
from delta.grading.choice_grader import letter_of_option, strip_markup
from delta.grading.formulas.answer_equality import same_answer
from delta.grading.formulas.answer_parser import parse_answer
from delta.grading.formulas.boxes import joined_boxes
from delta.grading.formulas.cleaning import WORDS, as_words, clean, without_units
from delta.grading.formulas.exact_values import TooLargeError
from delta.grading.formulas.scalar_equality import check_size
from delta.grading.formulas.values import Value
from delta.grading.verdict import Verdict, compared_verdict, verdict_without_answer

# Formulas that Math-Verify reads and our parser does not. In other texts Math-Verify may drop the
# parts that it cannot read, and accept by accident.
LEFT_TO_MATH_VERIFY = re.compile(
    r"\\(?:i?int|oint|lim|det|sum|prod|p?mod|bmod|nabla)(?![a-z])"
    r"|\\frac\s*\{\s*(?:d|\\partial)\b|\\begin"
)
APPROXIMATELY = re.compile(r"\\approx(?![a-z])")
LONE_NAME = re.compile(r"\\?[a-zA-Z]+(?:_\{?\w+\}?)?")
MAX_GOLD_CHARACTERS = 5_000  # the longest gold of our benchmarks has 210
CACHE_SIZE = 4_096  # comparisons, and parsed answers, of a worker
CALENDAR = re.compile(
    r"\b(mon|tues|wednes|thurs|fri|satur|sun)day\b"
    r"|\b(?:(jan)(?:uary)?|(feb)(?:ruary)?|(mar)(?:ch)?|(apr)(?:il)?|(may)|(jun)e?|(jul)y?"
    r"|(aug)(?:ust)?|(sep)t?(?:ember)?|(oct)(?:ober)?|(nov)(?:ember)?|(dec)(?:ember)?)\b",
    re.IGNORECASE,
)
NOT_FORMULA = re.compile(r"=|<|>|\\(?:text|mathrm|mbox|in|le|ge|ne)(?![a-z])")
_readings = lru_cache(CACHE_SIZE)(parse_answer)


def grade(gold_answer: str, answer: str | None, finish_reason: str) -> Verdict:
    """Return the verdict on an answer, the reply after its reasoning; None: cut before that."""
    if not gold_answer.strip():
        return Verdict("ungradable", None, "empty_gold")
    boxes = [] if answer is None else joined_boxes(answer)
    if not boxes:
        return verdict_without_answer(answer, finish_reason, "no_box")
    extracted = ", ".join(boxes)
    outcome, reason = _compare(gold_answer, extracted)
    if len(boxes) > 1 and all(_compare(gold_answer, box)[0] == "correct" for box in boxes):
        # "\boxed{15\frac{39}{40}} or \boxed{\frac{639}{40}}" is one answer in two forms.
        outcome, reason = "correct", None
    return Verdict(outcome, extracted, reason)


@lru_cache(CACHE_SIZE)
def _compare(gold_answer: str, extracted: str) -> tuple[str, str | None]:
    """Return the outcome and the reason. Cached: the traces of a problem often have equal boxes."""
    gold_answer = " ".join(gold_answer.split())
    if len(gold_answer) > MAX_GOLD_CHARACTERS:
        return "ungradable", "too_large"
    gold, prediction = clean(gold_answer), clean(extracted)
    if not (as_words(prediction) or _bare_text(prediction)):
        return "incorrect", "empty_box"
    try:
        same = _same_content(gold, prediction)
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
    """Return the verdict of Math-Verify alone, as papers report it.

    Its extraction may merge several boxes. Without a box it takes a formula or number of the text.
    """
    if not gold_answer.strip():
        return Verdict("ungradable", None, "empty_gold")
    extracted, is_correct = math_verify_adapter.library_verdict(gold_answer, answer or "")
    if extracted is None:
        return verdict_without_answer(answer, finish_reason, "no_box")
    if is_correct is None:
        return Verdict("ungradable", extracted, "unparsable_gold")
    return compared_verdict(is_correct, extracted)


def _same_content(gold: str, prediction: str) -> bool:
    """Return whether two cleaned answers are the same; TooLargeError if that is unknown."""
    if _bare_text(gold) == _bare_text(prediction):
        return True
    if (gold_words := as_words(gold)) and (others := as_words(prediction)):
        if gold_words == others:
            return True
        # As formulas, `ab` equals `ba`. Words with the same letters are not equal.
        if len(gold_words) > 3 or re.search(WORDS, gold):
            return False
    if re.fullmatch(r"\([A-J]\)", gold_letter := strip_markup(gold).strip()):
        return letter_of_option(prediction) == gold_letter[1]
    gold_dates, other_dates = _calendar_names(gold), _calendar_names(prediction)
    if gold_dates and other_dates and gold_dates != other_dates:
        return False  # the parser would ignore the words around a number
    pairs = product(_alternatives(gold), _alternatives(prediction))
    return any(_same_alternative(*pair) for pair in pairs)


def _calendar_names(answer: str) -> set[str]:
    """Return the names of months and weekdays in the answer."""
    return {name.lower() for names in CALENDAR.findall(answer) for name in names if name}


def _alternatives(answer: str) -> list[str]:
    r"""Return both sides of "\sqrt{2} \approx 1.41"; "x \approx 1.41" is one answer."""
    sides = [side for side in APPROXIMATELY.split(answer) if side.strip()]
    return [answer] if not sides or LONE_NAME.fullmatch(sides[0].strip()) else sides


def _same_alternative(gold: str, prediction: str) -> bool:
    golds, predictions = _readings(gold, True), _readings(prediction, False)
    if golds and predictions:
        return _same_reading(golds, predictions)
    for value in golds + predictions:
        check_size(value)
    both = gold + prediction
    if LEFT_TO_MATH_VERIFY.search(both) and not NOT_FORMULA.search(both):
        return math_verify_adapter.same_formula(gold, prediction)
    return False


def _same_reading(golds: list[Value], predictions: list[Value]) -> bool:
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


def _bare_text(answer: str) -> str:
    r"""Remove spaces, sizes and braces that have no meaning: x_{1} is x_1."""
    answer = re.sub(r"\\(?:left|right)(?![a-z])", "", answer)
    answer = re.sub(r"(?<!\d)\s|\s(?!\d)", "", answer)  # "1 1/2" is not "11/2"
    answer = re.sub(r"\\[dt]frac(?![a-z])", r"\\frac", answer)
    answer = re.sub(r"(?<=\\pmod)\{(\w+)\}", r"\1", answer)
    return re.sub(r"(?<=[_^])\{(\w)\}", r"\1", answer).rstrip(".")


def _is_readable(answer: str) -> bool:
    """Return whether the answer was understood: words, or a formula that parses."""
    return bool(
        as_words(answer)
        or not re.search(r"[\w\\]", answer)
        or any(_readings(side, False) for side in _alternatives(answer))
        or math_verify_adapter.parse_latex(answer) is not None
        or math_verify_adapter.parse_latex(without_units(answer)) is not None
    )
