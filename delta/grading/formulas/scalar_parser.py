r"""Parse scalars with their units, numbers in a base, and times: "7 apples", "11101_2", "4:30 p.m."

Units are not compared: any text after a number that does not change its meaning counts as a unit.
With words that do (QUALIFYING_WORDS: "less than 5", "5 if n is even") an answer is unreadable.
"""

import re
from fractions import Fraction

from delta.grading.formulas.formula_parser import parse_formula
from delta.grading.formulas.tokens import Token, UnreadableError
from delta.grading.formulas.values import UNSCALED, NumberInBase, Scalar, Time
from delta.grading.formulas.vocabulary import (
    FRACTIONS,
    LONG_WORD,
    QUALIFYING_WORDS,
    SENTENCE_WORDS,
    word_set,
)

SHORT_UNITS = word_set(
    """
    mm cm dm km nm um pm fm kg mg ug lb lbs oz ml mL cl dl in ft yd mi sq cu mph kph kmh kmph
    ms ns ps us min sec hr hrs yr Hz kHz MHz GHz Pa kPa MPa GPa eV keV MeV GeV kV mV mA kW MW
    kJ MJ kN nC uF nF pF mH mol rad deg USD AU pc kpc Mpc Gyr Myr erg dyn atm bar cal kcal au
    ly rpm fps cc sr Wb dB ohm ohms
    """
)
LETTER_UNITS = frozenset("mgsNJWVKFL")  # after a digit
UNIT_SIGNS = frozenset("/^.-(){}*") | {r"\cdot"}
NAMED_UNITS = word_set(r"\circ \degree \Omega \mu \AA \angstrom")
PREFIXES = frozenset("kMGmnp")  # of an ohm
NUMBER_WORDS = "two three four five six seven eight nine ten eleven twelve"
NUMERALS = {word: base for base, word in enumerate(NUMBER_WORDS.split(), start=2)}
NUMERALS |= {"sixteen": 16, "hexadecimal": 16, "binary": 2, "octal": 8, "decimal": 10}
SCALES = {
    r"\%": Fraction(1, 100),
    "percent": Fraction(1, 100),
    "thousand": Fraction(10**3),
    "million": Fraction(10**6),
    "billion": Fraction(10**9),
    "trillion": Fraction(10**12),
}
NOT_FIRST_IN_UNIT = frozenset("-{}*")
STYLED = re.compile(r"\\(?:text|textrm|textbf|mathrm|mathbf|mbox|operatorname|rm)(?![a-zA-Z])")
DIGITS_AND_BASE = re.compile(
    r"(-?)\(*([0-9A-Z]+)\)*(?:_|(?=\(?base))\(?(?:base)?(\d{1,2}|[a-z]+)\)?", re.ASCII
)
PREFIXED = re.compile(r"(-?)0([xbo])([0-9a-fA-F]+)")
CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?([ap]m)?")
HOUR = re.compile(r"(\d{1,2})([ap]m)")


def parse_scalar(tokens: list[Token]) -> Scalar:
    """Parse the tokens as a number or formula, with or without a unit.

    Raises UnreadableError.
    """
    if not tokens:
        raise UnreadableError("nothing")
    if tokens[-1].text in SCALES:
        inner = parse_scalar(tokens[:-1])
        return inner._replace(scale=inner.scale * SCALES[tokens[-1].text])
    full = parse_formula(tokens)
    for start in range(1, len(tokens)):
        before, unit = tokens[start - 1], tokens[start:]
        ends_number = before.kind == "number" or before.text in (")", "}", "]", r"\pi")
        if not ends_number or not _is_unit(unit):
            continue
        if bare := parse_formula(tokens[:start]):
            scale = SCALES.get((unit[0].text.split() or [""])[0], UNSCALED)
            if not full:
                return Scalar(bare, scale)
            has_unit = scale != UNSCALED or any(
                token.kind == "text" or (token.kind == "word" and _is_unit_word(token))
                for token in unit
            )
            return Scalar(full, UNSCALED, bare, has_unit)
    if not full:
        raise UnreadableError("no formula")
    return Scalar(full)


def _is_unit(tokens: list[Token]) -> bool:
    """Return whether the tokens after a number are its unit, or words that do not change it."""
    if tokens[0].text == "{" and tokens[1:] and tokens[1].kind == "text":
        tokens = tokens[1:]
    first = tokens[0]
    is_named = first.text == "^" and _is_degree(tokens)
    if first.text in NOT_FIRST_IN_UNIT or (first.text == "^" and not is_named):
        return False
    if first.text == r"\mu" and len(tokens) == 1:
        return False
    for index, token in enumerate(tokens):
        following = tokens[index + 1].text if index + 1 < len(tokens) else ""
        is_prefix = token.text in PREFIXES and following == r"\Omega"
        if token.kind == "symbol" and not (is_named or is_prefix or token.text in LETTER_UNITS):
            return False
        if not _may_be_in_unit(tokens, index):
            return False
        is_named |= token.kind in ("text", "word", "symbol") or token.text in NAMED_UNITS
    return is_named


def _may_be_in_unit(tokens: list[Token], index: int) -> bool:
    token = tokens[index]
    match token.kind:
        case "text":
            return _is_plain_words(token.text)
        case "word":
            return _is_plain_words(token.text) and _is_unit_word(token)
        case "symbol":
            return True
        case "number":  # an exponent, or m2
            before = tokens[max(0, index - 1)]
            is_glued = before.kind in ("word", "symbol") and not token.space
            return before.text in ("^", "-", "{") or is_glued
    if token.text in FRACTIONS:
        return index + 2 < len(tokens) and tokens[index + 2].kind == "text"
    return token.text in UNIT_SIGNS or token.text in NAMED_UNITS


def _is_degree(tokens: list[Token]) -> bool:
    r"""Return whether the tokens begin with ^\circ or ^{\circ}."""
    texts = [token.text for token in tokens[1:3] if token.text != "{"]
    return texts[:1] in ([r"\circ"], [r"\degree"])


def _is_plain_words(text: str) -> bool:
    words = re.findall("[a-zA-Z]+", text)
    return not any(word.lower() in QUALIFYING_WORDS for word in words) and not re.search(
        "[=<>?]", text
    )


def _is_unit_word(token: Token) -> bool:
    """Return whether letters after a number are a unit: in `7 men` and `5cm`, not in `6ab`."""
    text = token.text
    if token.space and text.lower() in SENTENCE_WORDS:
        return True
    if len(text) > LONG_WORD or text in SHORT_UNITS or (token.space and len(text) == LONG_WORD):
        return True
    return token.space and len(text) == 3 and bool(re.search("[aeiou]", text))


def _plain_text(text: str) -> str:
    r"""Return the text without styles, braces, blanks and dots: `4{:}30 \text{ p.m.}` is 4:30pm."""
    return re.sub(r"[{}\s.~]|\\[ ,;:!]", "", STYLED.sub("", text))


def parse_number_in_base(text: str) -> NumberInBase | None:
    r"""Return a number with its base; None for any other text.

    Forms: 52_8, -221_{3}, 63_{(7)}, (11101)_2, 204_{\text{five}}, 0b101. Raises UnreadableError
    where a digit does not exist in the base.
    """
    plain = _plain_text(text)
    if prefixed := PREFIXED.fullmatch(plain):
        base = {"x": 16, "b": 2, "o": 8}[prefixed[2]]
        return _checked_number_in_base(prefixed[1] + prefixed[3].upper(), base)
    match = DIGITS_AND_BASE.fullmatch(plain)
    if match is None or not (match[2][0].isdigit() or len(match[2]) > 1):
        return None
    base = int(match[3]) if match[3].isdigit() else NUMERALS.get(match[3], 0)
    if not re.search(r"\d", match[2]) and base <= 10:
        return None
    return _checked_number_in_base(match[1] + match[2], base)


def _checked_number_in_base(digits: str, base: int) -> NumberInBase:
    try:
        int(digits, base if 2 <= base <= 36 else -1)
    except ValueError as error:
        raise UnreadableError(f"{digits} in base {base}") from error
    return NumberInBase(digits, base)


def parse_time(text: str) -> Time | None:
    r"""Return a time (4:30, 12{:}30 \text{ p.m.}, 1:02:03, 10 a.m.); None for any other text."""
    plain = _plain_text(text).lower()
    if clock := CLOCK.fullmatch(plain):
        return Time(tuple(int(part) for part in clock.groups()[:3] if part), clock[4] or "")
    if hour := HOUR.fullmatch(plain):
        return Time((int(hour[1]), 0), hour[2])
    return None
