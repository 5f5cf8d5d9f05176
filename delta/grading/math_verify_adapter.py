r"""Call the library Math-Verify: as papers use it, and for formulas that our parser does not read.

Its timeouts are switched off: they return False silently, and some answers run on. Instead, a
worker that takes too long is killed (delta.grading.worker_pool).
"""

import re
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

CACHE_SIZE = 1_024  # verdicts and golds of a worker; a text has up to 25 KB
# The library ignores blanks, but takes cubic time over them: two minutes for 20,000.
MAX_BLANKS = 100
BLANKS = re.compile(rf"[ \t\u00a0]{{{MAX_BLANKS + 1},}}")

# The library does not know E with a subscript, the sun sign, degrees, and function names as in a
# program. It reads the e of 8.7e8 as Euler's number.
TRIGONOMETRY = r"(\\(?:sin|cos|tan|cot|sec|csc)(?:\^\{?\d\}?)?(?:\s*\\left)?[\s({]*)"
REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (rf"{TRIGONOMETRY}\s*(\d+)\s*\^\s*\{{?\s*\\circ\s*\}}?", r"\1\\frac{\2\\pi}{180}"),
        (r"(?<=sin|cos|tan|log)\s+\^", "^"),
        (r"(\\sqrt)\s*(\d|\b[a-zA-Z]\b|\\pi(?![a-zA-Z]))", r"\1{\2}"),
        (r"(?<![a-zA-Z\\])E(?=\s*_)", r"\\mathcal{E}"),
        (r"_\s*\{?\s*\\odot\s*\}?", "_{o}"),
        (r"(?<![a-zA-Z\\])((?:arc)?(?:sin|cos|tan)|ln|log|exp|sqrt)(?=[({])", r"\\\1"),
        (r"(?<=[\w)}])\s*\*\s*(?=[\w({\\])", r" \\cdot "),
        (r"(?<![\w.\\])(\d+\.?\d*|\.\d+)[eE]([+-]?\d{1,4})(?![\w.])", r"\1\\times 10^{\2}"),
    )
]
MAX_DEPTH = 30  # of nested brackets; deeper nesting takes the library's parser seconds
TOO_LARGE = re.compile(
    r"\d{4,}\s*\)?\s*!|\^\s*\{?\s*\d{5,}|\^\s*\{?\s*\w*\s*\^\s*\{?\s*\w*\s*\^|!\s*!"
    r"|\^\s*\{?\s*\d+\s*\^\s*\{?\s*\d{2}"
)
DETERMINANT = re.compile(r"\\begin\s*\{[vV]matrix|\\det(?![a-z])")
MAX_CELLS = 12  # "&" of a determinant: four rows; with seven rows of symbols it takes minutes
MIN_BITS = 30  # of a value whose quadrature converged; sympy gives fewer where it did not


class LibraryVerdict(NamedTuple):
    """The answer that the library extracts, and whether it equals the gold answer."""

    extracted: str | None  # None: no answer in the text
    is_correct: bool | None  # None: the library cannot parse the gold answer


@lru_cache(CACHE_SIZE)
def library_verdict(gold_answer: str, text: str) -> LibraryVerdict:
    """Compare by the library's extraction, which reads the whole text and may merge boxes."""
    from math_verify import parse, verify

    prediction = parse(_shorten_blanks(text), parsing_timeout=None)
    if not prediction:
        return LibraryVerdict(None, None)
    extracted, gold = str(prediction[-1]), _parse_gold(gold_answer)
    if not gold:
        return LibraryVerdict(extracted, None)
    return LibraryVerdict(extracted, bool(verify(gold, prediction, timeout_seconds=None)))


@lru_cache(CACHE_SIZE)
def _parse_gold(gold_answer: str) -> list[Any]:
    from math_verify import parse

    # Bare LaTeX often does not parse; inside a box it does.
    return list(parse(f"\\boxed{{{_shorten_blanks(gold_answer)}}}", parsing_timeout=None))


def _shorten_blanks(text: str) -> str:
    return BLANKS.sub(lambda run: run[0][:MAX_BLANKS], text)


@lru_cache(64)
def parse_latex(text: str) -> Any:
    """Return cleaned LaTeX as a sympy object.

    None where the library cannot parse it, or where sympy would never finish.
    """
    is_long = text.count("&") > MAX_CELLS and DETERMINANT.search(text)
    if is_long or TOO_LARGE.search(text) or _depth(text) > MAX_DEPTH:
        return None
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    # Our cleaning removes units. The library's list of units would read "2t" as the number 2.
    rules = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="all"
    )
    for pattern, replacement in REWRITES:
        text = pattern.sub(replacement, text)
    config = [LatexExtractionConfig(normalization_config=rules)]
    values = parse(f"\\boxed{{{text}}}", config, parsing_timeout=None)
    return next((value for value in values if not isinstance(value, str)), None)


def _depth(text: str) -> int:
    """Return the depth of nested brackets."""
    steps = ((character in "({[") - (character in ")}]") for character in text)
    return max(accumulate(steps), default=0)


def same_formula(gold: str, prediction: str) -> bool:
    """Return whether the library finds two cleaned formulas equal; False if either does not parse.

    Integrals are compared by value.
    """
    from math_verify import verify

    left, right = parse_latex(gold), parse_latex(prediction)
    if left is None or right is None:
        return False
    same = _equal_integrals(left, right)
    return bool(verify(left, right, timeout_seconds=None)) if same is None else same


def _equal_integrals(left: Any, right: Any) -> bool | None:
    """Return whether two sympy formulas, one an integral, have the same value; None: unknown.

    sympy would integrate for minutes, so compare by quadrature, whose error is an estimate. Values
    are equal if ten digits agree; they differ if the difference is more than a hundredth.
    """
    from sympy import Expr, Integral

    sides = left, right
    if not all(isinstance(side, Expr) for side in sides):
        return None
    if not any(side.has(Integral) for side in sides):
        return None
    if any(side.free_symbols for side in sides):
        return None if all(side.free_symbols for side in sides) else False
    first, second = (side.evalf(15) for side in sides)
    if not all(value.is_Float and value._prec >= MIN_BITS for value in (first, second)):
        return None
    size, distance = max(abs(first), abs(second)), abs(first - second)
    return True if distance <= size / 10**10 else False if distance > size / 100 else None
