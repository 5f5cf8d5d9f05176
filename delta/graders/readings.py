r"""What a box says: cleaned LaTeX, a number with its precision, or Math-Verify's formula.

Math-Verify reads `8.7e8` with Euler's e, `5 t` as the number 5 and `1\,234` as 235, and compares
numbers by absolute differences, so that 3e-10 and 7e-10 would be equal. Numbers are read here.
"""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")
MAX_ANSWER = 1_000  # characters; nothing longer is an answer, and parsers are slow on it
MAX_EXPONENT = 5_000  # of ten; larger powers would fill the memory
DIGITS = 50  # to which expressions are evaluated

TRIGONOMETRY = r"(\\(?:sin|cos|tan|cot|sec|csc)(?:\^\{?\d\}?)?(?:\s*\\left)?[\s({]*)"
CLEANED = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"[\u2212\u2013]", "-"),
        ("×", r"\\times "),
        ("[·⋅]", r"\\cdot "),
        ("π", r"\\pi "),
        ("√", r"\\sqrt "),
        ("∞", r"\\infty "),
        ("≤", r"\\le "),
        ("≥", r"\\ge "),
        ("≈", r"\\approx "),
        ("[°º]", r"^\\circ "),
        (r"\\degree(?![a-zA-Z])", r"^\\circ "),
        (r"\\varnothing(?![a-zA-Z])", r"\\emptyset "),
        (r"\\(?:approxeq|simeq|sim)(?![a-zA-Z])", r"\\approx "),
        (r"\\(?:textcolor|color)\s*\{[^{}]*\}|\\(?:display|text)style(?![a-z])|\\limits", ""),
        (r"(?<=\d)\s*(?:\{,\}|,?\\!|\\,)\s*(?=\d{3}(?!\d))", ""),  # 1{,}234 and 1\,234
        (r"\\!", ""),
        (r"(?<!\\)\\[,;:> ]|\\q?quad(?![a-z])|\\hspace\{[^{}]*\}", " "),
        (r"(?<!\\)~|[\u00a0\u2009\u202f]", " "),
        (r"\{:\}", ":"),
        (r"\\(?:text|math)(?:bf|rm|it|sf)?\s*\{((?:[^{}a-zA-Z\\]|\\%)*)\}", r"\1"),  # \textbf{(12)}
        (r"(?<!\\);", ","),
        (r"\\(?:text|mathrm)\s*\{\s*(?:percent|\\?%)\s*\}|(?<!\\)%|(?<=\d)\s*percent\b", r"\\%"),
        (r"\\(?:text|mathrm)\s*\{\s*((?:thousand|[mbtr]+illion)\b[a-z ]*)\}", r" \1"),
        (r"(?<=[\w)}])\*\*(?=[\w({-])", "^"),  # a power, as in a program
        (r"\\\$|[€£¥]|\\(?:euro|pounds)\b|(?<!\\)\$|(?<!\\)\\[()\[\]]|\*\*", " "),
        (r"(?:\\l?dots|\.\.\.|…)\s*$", ""),
        (r"(\d)\.(?![\d\\])", r"\1"),  # 5. and 1./3
        (r"\\langle(?![a-z])", "("),
        (r"\\rangle(?![a-z])", ")"),
        (r"\\\\\s*\[\d+[a-z]+\]", r"\\\\"),
        (r"(\\sqrt\s*\[[^\]]*\])\s*(\w)", r"\1{\2}"),
        (r"(?<=sin|cos|tan|log)\s+\^", "^"),
        (rf"{TRIGONOMETRY}\s*(\d+)\s*\^\s*\{{?\s*\\circ\s*\}}?", r"\1\\frac{\2\\pi}{180}"),
        # Math-Verify knows no subscript of Euler's e and no sun.
        (r"(?<![a-zA-Z\\])E(?=\s*_)", r"\\mathcal{E}"),
        (r"_\s*\{?\s*\\odot\s*\}?", "_{o}"),
        # Names of functions as in a program: np.arcsin(x), sqrt(2)
        (r"(?<![a-zA-Z\\])(?:np|math)\.", ""),
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
LITERAL = re.compile(
    r"([+-]?)(\d{1,3}(?:,\d{3})+|\d+|(?=\.\d))(?:\.(\d+))?"
    r"(?:[eE]([+-]?\d+)|(?:\\times|\\cdot|[*x])10(?:\^|\*\*)(?:\{([+-]?\d+)\}|([+-]?\d+)))?"
)
FRACTION = re.compile(
    r"\s*([+-]?)\s*(?:\\[dt]?frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}|(\d+)\s*/\s*(\d+))\s*"
)
E_NOTATION = re.compile(r"(?<![\w.\\])(\d+\.?\d*|\.\d+)[eE]([+-]?\d{1,4})(?![\w.])")
NAMED = re.compile(r"^[^=<>,]*?(?:=|\\approx)\s*([^=<>]*)$")  # "x = 5"


REPEATING = re.compile(r"(\d+)\.(\d*)\\(?:overline|bar|dot)\s*\{?(\d+)\}?")  # 0.1\overline{6}
SCALES = {
    r"\%": Fraction(1, 100),
    "thousand": Fraction(10**3),
    "million": Fraction(10**6),
    "billion": Fraction(10**9),
    "trillion": Fraction(10**12),
}
SCALED = re.compile(r"(.+?)\s*(\\%|thousand|million|billion|trillion)(?:\s[a-z ]*)?")


class Number(NamedTuple):
    """A real number as it is written."""

    value: Fraction
    place: Fraction | None  # the value of its last digit; None: the number is exact
    scale: Fraction  # of a percentage, or of millions, which often are not written


def last_box(text: str) -> str | None:
    r"""The content of the last balanced \boxed{…}; None where there is none.

    Math-Verify would merge all boxes of a text into a set, so an answer that corrects itself from
    \boxed{7} to \boxed{8} would be wrong, and without a box it would guess from loose numbers.
    """
    for start in reversed([found.end() for found in BOX.finditer(text)]):
        content = _balanced(text, start)
        if content is not None:
            return content
    return None


def _balanced(text: str, start: int) -> str | None:
    """Text from `start` to the brace that closes there; None where none does in MAX_ANSWER."""
    depth, escaped = 1, False
    for index in range(start, min(len(text), start + MAX_ANSWER)):
        character = text[index]
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return text[start:index].strip()
    return None


def cleaned(answer: str) -> str:
    """One way to write spaces, signs, currencies and thousands; the mathematics is untouched."""
    for pattern, replacement in CLEANED:
        answer = pattern.sub(replacement, answer)
    answer = " ".join(answer.split()).rstrip(".").strip()
    if answer.startswith("{") and _balanced(answer, 1) == answer[1:-1].strip():
        answer = answer[1:-1].strip()
    return answer


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
    """A cleaned answer as one real number, with or without a unit; None where it is none."""
    answer = without_name(answer)
    for form in dict.fromkeys((answer, without_units(answer))):
        scaled = SCALED.fullmatch(form)
        bare = scaled[1] if scaled else form
        if bare.startswith("(") and bare.endswith(")") and literal(bare[1:-1]):
            bare = bare[1:-1]
        found = literal(bare)
        if found is None and (value := constant(bare)) is not None:
            found = Number(value, None, Fraction(1))
        if found is not None:
            return found._replace(scale=SCALES[scaled[2]]) if scaled else found
    return None


def literal(text: str) -> Number | None:
    """A decimal number, with or without a power of ten, or a fraction of two whole numbers; only
    rounded ones have a `place`."""
    if re.search(r"\d,? +(?!\d{3}(?!\d))\d|, ", text):
        return None  # "1 234" is one number; "1, 234" and "1 2" are two
    if fraction := FRACTION.fullmatch(text):
        sign, *parts = fraction.groups()
        above, below = (int(part) for part in parts if part)
        return Number(Fraction(int(f"{sign}{above}"), below), None, Fraction(1)) if below else None
    text = "".join(text.split())
    if repeating := REPEATING.fullmatch(text):
        whole, first, cycle = repeating.groups()
        value = Fraction(int(whole + first + cycle) - int(whole + first), 10 ** len(cycle) - 1)
        return Number(value / 10 ** len(first), None, Fraction(1))
    match = LITERAL.fullmatch(text)
    if match is None:
        return None
    sign, whole, decimals, *exponents = match.groups()
    decimals = decimals or ""
    exponent = next((found for found in exponents if found), None)
    if len(exponent or "") > 9 or abs(int(exponent or 0)) > MAX_EXPONENT:
        return None
    unit = Fraction(10) ** (int(exponent or 0) - len(decimals))
    value = int(sign + (whole.replace(",", "") or "0") + decimals) * unit
    return Number(value, unit if decimals or exponent else None, Fraction(1))


def constant(text: str) -> Fraction | None:
    """The value of an expression without variables: a fraction, a root, a multiple of pi."""
    reading = formula(text)
    if reading is None:
        return None
    from sympy import Expr, Set

    if isinstance(reading, Set) and len(reading.args) == 1:
        reading = reading.args[0]
    if not isinstance(reading, Expr) or reading.free_symbols:
        return None
    value = reading.evalf(DIGITS)
    if not getattr(value, "is_Float", False) and not getattr(value, "is_Integer", False):
        return None
    return Fraction(str(value)) if value.is_finite else None


@lru_cache(maxsize=64)
def formula(text: str) -> Any:
    """Math-Verify's reading of cleaned LaTeX as a sympy object; None where it cannot read it."""
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


def rewritten(text: str) -> str:
    """8.7e8 as a power of ten, which Math-Verify would read with Euler's e."""
    return E_NOTATION.sub(r"\1\\times 10^{\2}", text)
