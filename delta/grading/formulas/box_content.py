r"""What a box says: cleaned LaTeX, a number with its precision, or Math-Verify's formula.

Math-Verify reads `8.7e8` with Euler's e, `5 t` as the number 5 and `1\,234` as 235, and compares
numbers by absolute differences, so that 3e-10 and 7e-10 would be equal. Numbers are read here.
"""

import re
from functools import lru_cache
from itertools import accumulate
from typing import Any

from delta.grading.formulas import answer_parser
from delta.grading.formulas.answer_types import Named, Ratio, Scalar, Value
from delta.grading.formulas.boxes import last_box
from delta.grading.formulas.expressions import quotient
from delta.grading.formulas.latex_cleaning import cleaned
from delta.grading.formulas.latex_tokens import UnreadableError
from delta.grading.formulas.rounding import Number
from delta.grading.formulas.scalar_equality import value_of

__all__ = ["Number", "cleaned", "formula", "last_box", "number", "without_name", "words"]

# Math-Verify knows no subscript of Euler's e, no sun, no degrees and no names as in a program.
TRIGONOMETRY = r"(\\(?:sin|cos|tan|cot|sec|csc)(?:\^\{?\d\}?)?(?:\s*\\left)?[\s({]*)"
FOR_MATH_VERIFY = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (rf"{TRIGONOMETRY}\s*(\d+)\s*\^\s*\{{?\s*\\circ\s*\}}?", r"\1\\frac{\2\\pi}{180}"),
        (r"(?<=sin|cos|tan|log)\s+\^", "^"),
        (r"(\\sqrt)\s*(\d|\b[a-zA-Z]\b|\\pi(?![a-zA-Z]))", r"\1{\2}"),
        (r"(?<![a-zA-Z\\])E(?=\s*_)", r"\\mathcal{E}"),
        (r"_\s*\{?\s*\\odot\s*\}?", "_{o}"),
        (r"(?<![a-zA-Z\\])((?:arc)?(?:sin|cos|tan)|ln|log|exp|sqrt)(?=[({])", r"\\\1"),
        (r"(?<=[\w)}])\s*\*\s*(?=[\w({\\])", r" \\cdot "),
    )
]
WORDS = r"\\(?:text|textrm|textbf|textit|textsf|mathrm|mathbf|mathit|mathsf|mbox|operatorname|rm)"
# "5 \mathrm{~cm}^2", "3 \,\text{J}/\text{mol}", but not 2\mathrm{i}: units are not compared, as in
# Math-Verify.
_UNIT = (
    r"(?:\\(?:text|textrm|textbf|textit|mathrm|mbox|operatorname)\s*\{(?!\s*[eij]\s*\})[^{}]*\}"
    r"|\^\s*\{?\s*\\circ\s*\}?)(?:\s*\^\s*\{?\s*-?\d\s*\}?)?"
)
UNITS = re.compile(rf"(?<=[\d)\]}}a-zA-Z%])(?:(?:\s|\\cdot|/)*{_UNIT})+[\s.]*(?=$|,)")
# "18 dollars", "5 cm", "3.2 kg/m^3", "5m"; but not "2 sin x", and not "2t", which is no number.
PLAIN_UNITS = re.compile(
    r"(?:(?<=\d)\s*(?=[mgsNJWVKFL](?![\w({\\]))|(?<=[\d}])\s*(?=[a-zA-Z]{2}))"
    r"(?!(?:thousand|[mbtr]+illion|and|or|sin|cos|tan|log|ln|exp|sqrt|pi|mod|if|for|to)\b)"
    r"[a-zA-Z]+(?![\w({\\])(?:[\s./^a-zA-Z-]|\d(?=\s*$))*$"
)
LEADING_WORDS = re.compile(rf"^{WORDS}\s*\{{[^{{}}]*\}}\s*:?(?=\s*[\d\\.-])")
MAX_DEPTH = 30  # of brackets in brackets; beyond, Math-Verify's parser takes seconds
HUGE = re.compile(
    r"\d{4,}\s*\)?\s*!|\^\s*\{?\s*\d{5,}|\^\s*\{?\s*\w*\s*\^\s*\{?\s*\w*\s*\^|!\s*!"
    r"|\^\s*\{?\s*\d+\s*\^\s*\{?\s*\d{2}"
)
DETERMINANT = re.compile(r"\\begin\s*\{[vV]matrix|\\det(?![a-z])")
MAX_CELLS = 12  # "&" of a determinant: four rows; with seven rows of symbols it takes minutes
EXACT_BITS = 30  # of a value whose quadrature converged; sympy gives fewer where it did not
E_NOTATION = re.compile(r"(?<![\w.\\])(\d+\.?\d*|\.\d+)[eE]([+-]?\d{1,4})(?![\w.])")
NAMED = re.compile(r"^[^=<>,]*?(?:=|\\approx)\s*([^=<>]*)$")  # "x = 5"


def without_units(answer: str) -> str:
    """A cleaned answer without words before it and units at its end (or before a comma)."""
    shorter = UNITS.sub("", LEADING_WORDS.sub("", answer))
    return PLAIN_UNITS.sub("", shorter).strip()


def words(answer: str) -> str | None:
    r"""The words of an answer that is nothing else ("\text{Monday}" is "monday"), or None."""
    plain = re.sub(rf"{WORDS}\s*(?=\{{)", "", answer)
    plain = " ".join(re.sub(r"[{}().,!?'’\"$]|\\[ ,;!]", " ", plain).split()).lower()
    return plain if re.fullmatch(r"[^\W\d_]{2,}(?:[\s-][^\W\d_]+)*", plain) else None


def without_name(answer: str) -> str:
    """5 of "x = 5" and of "x \\approx 5"; the answer itself where it is no such thing."""
    named = NAMED.match(answer)
    return named[1].strip() if named and named[1] else answer


def number(answer: str) -> Number | None:
    """A cleaned answer as one real number, with or without a name and a unit; None where it is
    none."""
    try:
        values = answer_parser.readings(answer)
    except UnreadableError:
        return None
    scalars = (_as_scalar(value.value if isinstance(value, Named) else value) for value in values)
    return next((read for scalar in scalars if scalar and (read := value_of(scalar))), None)


def _as_scalar(value: Value) -> Scalar | None:
    if isinstance(value, Ratio) and len(value.parts) == 2:
        first, second = value.parts
        return Scalar((quotient(first.trees[0], second.trees[0]),))
    return value if isinstance(value, Scalar) else None


@lru_cache(maxsize=64)
def formula(text: str) -> Any:
    """Math-Verify's reading of cleaned LaTeX as a sympy object; None where it cannot read it, or
    where sympy would compute for ever."""
    is_long = text.count("&") > MAX_CELLS and DETERMINANT.search(text)
    if is_long or HUGE.search(text) or depth_of(text) > MAX_DEPTH:
        return None
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    # Units are ours: Math-Verify's list makes the number 2 of "2t".
    rules = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all"
    )
    config = [LatexExtractionConfig(normalization_config=rules)]
    # Bare LaTeX often parses to nothing; a box around it always says what it is. The caller's hard
    # kill bounds the time: the library's own alarms answer False in silence.
    readings = parse(f"\\boxed{{{rewritten(text)}}}", config, parsing_timeout=None)
    return next((reading for reading in readings if not isinstance(reading, str)), None)


def same_integral(left: Any, right: Any) -> bool | None:
    """Whether Math-Verify's formulas have the same value, where one is an integral; None: unknown.

    sympy would integrate, for minutes. By quadrature, whose error is only estimated, values are
    equal to ten digits, and differ where the difference is more than a hundredth.
    """
    from sympy import Expr, Integral

    sides = left, right
    if not all(isinstance(side, Expr) for side in sides):
        return None
    if not any(side.has(Integral) for side in sides):
        return None
    if any(side.free_symbols for side in sides):
        return None if all(side.free_symbols for side in sides) else False
    one, other = (side.evalf(15) for side in sides)
    if not all(value.is_Float and value._prec >= EXACT_BITS for value in (one, other)):
        return None
    size, distance = max(abs(one), abs(other)), abs(one - other)
    return True if distance <= size / 10**10 else False if distance > size / 100 else None


def depth_of(text: str) -> int:
    """How deep brackets stand in brackets."""
    steps = ((character in "({[") - (character in ")}]") for character in text)
    return max(accumulate(steps), default=0)


def rewritten(text: str) -> str:
    """8.7e8 as a power of ten, which Math-Verify would read with Euler's e, and other forms that it
    does not know."""
    for pattern, replacement in FOR_MATH_VERIFY:
        text = pattern.sub(replacement, text)
    return E_NOTATION.sub(r"\1\\times 10^{\2}", text)
