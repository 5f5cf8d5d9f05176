r"""The tokens of a cleaned answer: numbers, symbols, words, \text{…}, commands and signs.

Sizes and styles say nothing and are left out (`\left`, `\mathbf{…}` around a formula); a bold i, j
or k is a unit vector. Blanks are kept as a mark on the token behind them: "11 5/6" is a mixed
number and "115/6" is none.
"""

import re
from fractions import Fraction
from typing import NamedTuple

from delta.grading.formulas.vocabulary import (
    ACCENTS,
    FUNCTIONS,
    GREEK,
    STYLES,
    TEXT_COMMANDS,
    VECTORS,
)

MAX_EXPONENT = 5_000  # of ten in a written number; larger powers would fill the memory
CHUNK = 4_000  # digits that Python reads at once

SIZES = re.compile(
    r"\\(?:left|right|[bB]igg?[lrm]?|middle|displaystyle|textstyle|limits|rm|bf|it)(?![a-zA-Z])\.?"
)
# 110,143 may be one number, but f(110,143) has two arguments.
GROUPED = re.compile(r"(?<![\d.,])(?<!\b[a-zA-Z]\()\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?")
SPACED = re.compile(r"(?<![\d.])\d{1,3}(?: \d{3})+(?!\d| ?/)(?:\.\d+)?")
REPEATING = re.compile(r"(\d*)\.(\d*)\\(?:overline|bar|dot)\s*\{?(\d+)\}?")
DECIMAL = re.compile(r"(\d+\.\d+|\.\d+|\d+)(?:[eE]([+-]?\d+)(?![\w.]))?")
LETTERS = re.compile(r"[a-zA-Z]+")
OTHER_LETTER = re.compile(r"[^\W\d_]")
COMMAND = re.compile(r"\\(?:[a-zA-Z]+|.)")
BLANK = re.compile(r"\s+")
GLUED = re.compile(rf"({'|'.join(sorted(FUNCTIONS, key=len, reverse=True))})([a-zA-Z])")


class Token(NamedTuple):
    """`text` of a number is as written; of \\text{…} its content."""

    kind: str  # number, symbol, vector, word, text, command, sign
    text: str
    space: bool  # whether blanks stand before it
    start: int
    end: int
    value: Fraction | None = None  # of a number
    place: Fraction | None = None  # the value of its last digit; None: the number is whole or exact


class UnreadableError(Exception):
    """The text has no meaning that is known here."""


def integer(digits: str) -> int:
    """The integer of any number of decimal digits (Python's own limit is 4,300)."""
    if len(digits) <= CHUNK:
        return int(digits)
    half = len(digits) // 2
    power: int = 10 ** (len(digits) - half)
    return integer(digits[:half]) * power + integer(digits[half:])


def decimal(text: str) -> tuple[Fraction, Fraction | None] | None:
    """Value and place of an unsigned number, "1,234.50", ".5" or "8.7e8"; None where it is none."""
    match = DECIMAL.fullmatch(re.sub("[, ]", "", text))
    if match is None:
        return None
    whole, _, decimals = match[1].partition(".")
    exponent = int(match[2] or 0) if len(match[2] or "") <= 9 else MAX_EXPONENT + 1
    if abs(exponent) > MAX_EXPONENT:
        return None
    unit = Fraction(10) ** (exponent - len(decimals))
    value = integer((whole + decimals) or "0") * unit
    is_whole = not match[2] and not decimals.strip("0")  # 7 and 7.0
    return value, None if is_whole else unit


def tokenize(text: str, grouped: bool) -> list[Token]:
    """The tokens of `text`; `grouped`: whether "110,143" is one number."""
    tokens: list[Token] = []
    position, space = 0, False
    while position < len(text):
        if blank := BLANK.match(text, position):
            position, space = blank.end(), True
            continue
        if size := SIZES.match(text, position):
            position = size.end()
            continue
        found = _next(text, position, space, grouped)
        tokens += found
        position, space = found[-1].end, False
    return tokens


def _next(text: str, at: int, space: bool, grouped: bool) -> list[Token]:
    if text[at].isdigit() or (text[at] == "." and text[at + 1 : at + 2].isdigit()):
        return [_number(text, at, space, grouped)]
    if letters := LETTERS.match(text, at):
        return _letters(letters[0], at, space)
    if text[at] == "\\":
        return _command(text, at, space)
    kind = "symbol" if OTHER_LETTER.match(text[at]) else "sign"
    return [Token(kind, text[at], space, at, at + 1)]


def _number(text: str, at: int, space: bool, grouped: bool) -> Token:
    if repeating := REPEATING.match(text, at):
        whole, first, cycle = repeating.groups()
        value = Fraction(
            integer(whole + first + cycle) - integer("0" + whole + first), 10 ** len(cycle) - 1
        )
        value /= 10 ** len(first)
        return Token("number", repeating[0], space, at, repeating.end(), value)
    match = (GROUPED.match(text, at) if grouped else None) or SPACED.match(text, at)
    match = match or DECIMAL.match(text, at)
    read = decimal(match[0]) if match else None
    if match is None or read is None:
        raise UnreadableError(text[at : at + 20])
    return Token("number", match[0], space, at, match.end(), *read)


def _letters(letters: str, at: int, space: bool) -> list[Token]:
    end = at + len(letters)
    if letters in FUNCTIONS or letters in GREEK:
        return [Token("command", "\\" + letters, space, at, end)]
    if letters.lower() in ("and", "or"):
        return [Token("word", letters.lower(), space, at, end)]
    if len(letters) == 1:
        return [Token("symbol", letters, space, at, end)]
    if (glued := GLUED.fullmatch(letters)) and len(letters) > 2:
        middle = at + len(glued[1])
        function = Token("command", "\\" + glued[1], space, at, middle)
        return [function, Token("symbol", glued[2], False, middle, end)]
    return [Token("word", letters, space, at, end)]


def _command(text: str, at: int, space: bool) -> list[Token]:
    match = COMMAND.match(text, at)
    if match is None:
        raise UnreadableError(text[at:])
    name = match[0][1:]
    if name in TEXT_COMMANDS and (content := _braced(text, match.end())):
        return _words(name, *content, at, space)
    if name in STYLES | ACCENTS and (content := _braced(text, match.end())):
        return _accented(name, *content, at, space)
    if name in STYLES:
        return _next(text, match.end(), space, False) if match.end() < len(text) else []
    return [Token("command", match[0], space, at, match.end())]


def _braced(text: str, at: int) -> tuple[str, int] | None:
    """Content and end of the braces that open at `at`, or of the one letter there."""
    while at < len(text) and text[at] == " ":
        at += 1
    if at >= len(text) or text[at] != "{":
        return (text[at], at + 1) if at < len(text) and text[at].isalpha() else None
    depth = 0
    for end in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[at + 1 : end], end + 1
    raise UnreadableError("an open brace")


def _words(name: str, content: str, end: int, at: int, space: bool) -> list[Token]:
    word = " ".join(re.sub(r"~|\\[ ,;:!]|\$", " ", content).split())
    bare = word.strip(" .,:").lower()
    if bare in ("and", "or"):
        return [Token("word", bare, space, at, end)]
    if word in FUNCTIONS or word in GREEK:
        return [Token("command", "\\" + word, space, at, end)]
    if word in ("e", "i", "d") and name in ("mathrm", "operatorname", "text", "textrm"):
        return [Token("symbol", word, space, at, end)]
    if not re.search("[a-zA-Z\\\\]", word) and word:
        inner = tokenize(word, True)
        return [token._replace(start=at, end=end) for token in inner]
    return [Token("text", word, space, at, end)]


def _accented(name: str, content: str, end: int, at: int, space: bool) -> list[Token]:
    bare = content.strip().lstrip("\\")
    if name in VECTORS and bare in ("i", "j", "k", "imath", "jmath"):
        return [Token("vector", bare[0], space, at, end)]
    if name in STYLES:
        opening, closing = Token("sign", "{", space, at, at), Token("sign", "}", False, end, end)
        inner = [token._replace(start=at, end=end) for token in tokenize(content, True)]
        return [opening, *inner, closing]
    if not re.fullmatch(r"\s*\\?[a-zA-Z]+\s*(?:_\s*\{?\w+\}?)?\s*", content):
        if name in ("bar", "overline"):
            inner = [token._replace(start=at, end=end) for token in tokenize(content, True)]
            call = Token("command", r"\conj", space, at, at)
            opening = Token("sign", "{", False, at, at)
            return [call, opening, *inner, Token("sign", "}", False, end, end)]
        raise UnreadableError(name)
    mark = "bar" if name == "overline" else name
    letters = re.sub(r"[\s{}]", "", content)
    return [Token("symbol", f"{letters} {mark}", space, at, end)]


def shown(tokens: list[Token]) -> str:
    """The tokens as one text without blanks and styles: what two equal names have in common."""
    return "".join(token.text for token in tokens if token.text not in "{}")
