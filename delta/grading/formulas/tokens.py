r"""Split a cleaned answer into tokens: numbers, symbols, words, \text{...}, commands and signs.

Sizes and styles are left out (`\left`, `\mathbf{...}` around a formula); a bold i, j or k is a unit
vector. A token records whether blanks precede it: "11 5/6" is a mixed number, "115/6" is not.
"""

import re
from fractions import Fraction
from typing import NamedTuple

from delta.grading.formulas.vocabulary import (
    FUNCTIONS,
    GREEK,
    QUALIFYING_WORDS,
    RELATIONS,
    SENTENCE_WORDS,
    word_set,
)

TEXT_COMMANDS = word_set(
    "text textrm textbf textit textsf texttt textup textnormal mbox hbox mathrm operatorname"
)
STYLES = word_set(
    "boxed fbox mathbf mathit mathsf mathtt mathcal mathscr mathfrak boldsymbol bm "
    "pmb vec overrightarrow"
)
ACCENTS = word_set("hat widehat bar overline tilde widetilde dot ddot underline")
VECTORS = word_set("mathbf boldsymbol bm pmb vec hat widehat")
MAX_EXPONENT = 5_000  # of ten in a number; larger powers would fill the memory
INT_DIGITS = 4_000  # per call of int(), whose limit is 4,300

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
# A function and its argument without a blank: "sinx".
GLUED = re.compile(rf"({'|'.join(sorted(FUNCTIONS, key=len, reverse=True))})([a-zA-Z])")
OPENING = frozenset(("(", "[", "{", r"\{", r"\lfloor", r"\lceil", r"\begin"))
CLOSING = frozenset((")", "]", "}", r"\}", r"\rfloor", r"\rceil", r"\end"))


class Token(NamedTuple):
    r"""A token of an answer. `text`: as written, or the content of \text{...}."""

    kind: str  # number, symbol, vector, word, text, command, sign
    text: str
    space: bool  # whether blanks precede it
    start: int
    end: int
    value: Fraction | None = None  # of a number
    precision: Fraction | None = None  # the value of its last digit; None: an integer, or exact

    @property
    def is_sign(self) -> bool:
        return self.kind in ("sign", "command")

    @property
    def nesting(self) -> int:
        """Return 1 for an opening bracket, -1 for a closing one, else 0."""
        return ((self.text in OPENING) - (self.text in CLOSING)) if self.is_sign else 0


class UnreadableError(Exception):
    """The text cannot be parsed."""


def tokenize(text: str, grouped: bool) -> list[Token]:
    """Split `text` into tokens. `grouped`: whether "110,143" is one number.

    Raises UnreadableError for an open brace or a number beyond MAX_EXPONENT.
    """
    tokens: list[Token] = []
    position, space = 0, False
    while position < len(text):
        if blank := BLANK.match(text, position):
            position, space = blank.end(), True
        elif size := SIZES.match(text, position):
            position = size.end()
        else:
            tokens += _next(text, position, space, grouped)
            position, space = tokens[-1].end, False
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
        above = _integer(whole + first + cycle) - _integer("0" + whole + first)
        value = Fraction(above, (10 ** len(cycle) - 1) * 10 ** len(first))
        return Token("number", repeating[0], space, at, repeating.end(), value)
    match = (GROUPED.match(text, at) if grouped else None) or SPACED.match(text, at)
    match = match or DECIMAL.match(text, at)
    if match is None:
        raise UnreadableError(text[at : at + 20])
    return Token("number", match[0], space, at, match.end(), *_decimal(match[0]))


def _decimal(text: str) -> tuple[Fraction, Fraction | None]:
    """Return the value and the precision of "1,234.50", ".5" or "8.7e8"."""
    mantissa, _, power = re.sub("[, ]", "", text).lower().partition("e")
    whole, _, decimals = mantissa.partition(".")
    exponent = int(power or 0) if len(power) <= 9 else MAX_EXPONENT + 1
    if abs(exponent) > MAX_EXPONENT:
        raise UnreadableError(text[:20])
    unit = Fraction(10) ** (exponent - len(decimals))
    is_whole = not power and not decimals.strip("0")  # 7 and 7.0
    return _integer((whole + decimals) or "0") * unit, None if is_whole else unit


def _integer(digits: str) -> int:
    """Return the integer of any number of decimal digits."""
    if len(digits) <= INT_DIGITS:
        return int(digits)
    half = len(digits) // 2
    power: int = 10 ** (len(digits) - half)
    return _integer(digits[:half]) * power + _integer(digits[half:])


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
        if match.end() == len(text):
            raise UnreadableError(f"{match[0]} of nothing")
        return _next(text, match.end(), space, False)
    return [Token("command", match[0], space, at, match.end())]


def _braced(text: str, at: int) -> tuple[str, int] | None:
    """Return the content and end of the braces that open at `at`, or of a single letter there."""
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
        return _inner(word, at, end)
    return [Token("text", word, space, at, end)]


def _inner(text: str, at: int, end: int) -> list[Token]:
    """Tokenize the content of a command that extends from `at` to `end`."""
    return [token._replace(start=at, end=end) for token in tokenize(text, True)]


def _accented(name: str, content: str, end: int, at: int, space: bool) -> list[Token]:
    bare = content.strip().lstrip("\\")
    if name in VECTORS and bare in ("i", "j", "k", "imath", "jmath"):
        return [Token("vector", bare[0], space, at, end)]
    closing = Token("sign", "}", False, end, end)
    if name in STYLES:
        return [Token("sign", "{", space, at, at), *_inner(content, at, end), closing]
    if not re.fullmatch(r"\s*\\?[a-zA-Z]+\s*(?:_\s*\{?\w+\}?)?\s*", content):
        if name not in ("bar", "overline"):
            raise UnreadableError(name)
        opening = [Token("command", r"\conj", space, at, at), Token("sign", "{", False, at, at)]
        return [*opening, *_inner(content, at, end), closing]
    mark = "bar" if name == "overline" else name
    letters = re.sub(r"[\s{}]", "", content)
    return [Token("symbol", f"{letters} {mark}", space, at, end)]


def text_of(tokens: list[Token]) -> str:
    """Return the tokens as one text without blanks, braces and styles."""
    return "".join(token.text for token in tokens if token.text not in "{}")


def has_groups(text: str) -> bool:
    """Return whether a "110,143" in the text may also be two numbers: no group begins with 0."""
    groups = GROUPED.findall(text)
    return bool(groups) and all(
        not part.startswith("0") for group in groups for part in group.split(",")
    )


def splice_words(tokens: list[Token]) -> list[Token]:
    r"""Replace a \text{...} that contains a number by its words: "\text{7 apples}"."""
    spliced: list[Token] = []
    is_words = all(token.kind in ("text", "word") for token in tokens)
    for token in tokens:
        has_join = not is_words and re.search(r"\b(?:and|or)\b", token.text)
        has_number = re.search(r"(?:^|[\s=(])-?\d", token.text)
        if token.kind == "text" and (has_number or has_join):
            spliced += _inner(token.text, token.start, token.end)
        else:
            spliced.append(token)
    return spliced


def separators_in(tokens: list[Token], separators: frozenset[str]) -> list[tuple[int, str]]:
    """Return index and text of each separator outside of brackets."""
    result, depth = [], 0
    for index, token in enumerate(tokens):
        depth += token.nesting
        if depth == 0 and token.text in separators and (token.is_sign or token.kind == "word"):
            result.append((index, token.text))
    return result


def separator_texts(tokens: list[Token], separators: frozenset[str]) -> list[str]:
    """Return the separators outside of brackets, in order."""
    return [text for _, text in separators_in(tokens, separators)]


def split_at(tokens: list[Token], separators: frozenset[str]) -> list[list[Token]]:
    """Return the parts between separators outside of brackets."""
    cuts = [index for index, _ in separators_in(tokens, separators)]
    starts, ends = [0, *(cut + 1 for cut in cuts)], [*cuts, len(tokens)]
    return [tokens[start:end] for start, end in zip(starts, ends, strict=True)]


def index_of(tokens: list[Token], text: str, start: int = 0) -> int:
    """Return the index of the first token with this text; UnreadableError where there is none."""
    for index in range(start, len(tokens)):
        if tokens[index].text == text:
            return index
    raise UnreadableError(f"no {text}")


def strip_punctuation(tokens: list[Token]) -> list[Token]:
    """Remove punctuation at the end, and braces around all tokens."""
    while tokens and tokens[-1].text in (".", ",", ";", ":"):
        tokens = tokens[:-1]
    while len(tokens) > 1 and tokens[0].text == "{" and closes_at_end(tokens):
        tokens = tokens[1:-1]
    return tokens


def closes_at_end(tokens: list[Token]) -> bool:
    """Return whether the first bracket closes at the end."""
    depth = 0
    for index, token in enumerate(tokens):
        depth += token.nesting
        if depth == 0:
            return index == len(tokens) - 1
    return False


def is_condition(tokens: list[Token]) -> bool:
    r"""Return whether the tokens only say what a letter means: k \in \mathbb{Z}."""
    plain = text_of(tokens).replace(" ", "")
    lower = plain.lower()
    return bool(re.fullmatch(r"(?:where|for)?[a-zA-Z]\\in\\mathbb[ZNQR].*", plain)) or (
        lower.startswith(("where", "forall", "foranyinteger", "forinteger", "foreveryinteger"))
        and "integer" in lower
    )


def strip_lead(tokens: list[Token]) -> list[Token]:
    """Remove the words before a number or a formula.

    Raises UnreadableError where those words change its meaning.
    """
    count = 0
    while count < len(tokens) and _is_in_lead(tokens, count):
        count += 1
    if not count or count == len(tokens) or tokens[count].text in RELATIONS:
        return tokens
    words = re.findall("[a-z]+", " ".join(token.text for token in tokens[:count]).lower())
    if set(words) & QUALIFYING_WORDS:
        raise UnreadableError(" ".join(words))
    if tokens[count].text in ("_", "^") or (tokens[count].text in ("(", "[") and count == 1):
        return tokens
    has_relation = bool(separator_texts(tokens, frozenset(RELATIONS)))
    if has_relation and not set(words) <= SENTENCE_WORDS:
        raise UnreadableError(" ".join(words))
    return tokens[count:]


def _is_in_lead(tokens: list[Token], index: int) -> bool:
    token = tokens[index]
    if token.kind == "word":
        starts_sentence = tokens[0].text.lower() in ("is", "so", "we", "the", "it", "about", "only")
        return index > 0 or len(token.text) >= 4 or starts_sentence
    return token.kind == "text" or (index > 0 and token.text in (":", ".", ","))
