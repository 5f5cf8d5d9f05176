"""Split a line of LaTeX, markdown, Unicode and prose into items of arithmetic expressions."""

import re
from fractions import Fraction
from functools import lru_cache

from delta.judging.rules.arithmetic import Item

MAX_DIGITS = 30  # longer numbers take quadratic time to convert
MAX_UNIT_WORDS = 3  # "40 cups per chicken * 20": words that may be a number's unit

# Possessive quantifiers (++, *+) never backtrack, so that every match takes linear time.
_TOKEN = re.compile(
    r"""
    (?P<clock>\d++:\d++)                                   # 9:15 and 2:3 are not operands
  | (?P<number>(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?|\.\d++)
  | (?P<word>(?<=\w)-(?=[^\W\d_])|[^\W\d_]++(?:['’][^\W\d_]++)*+)
  | (?P<command>\\[a-zA-Z]++)
  | (?P<other_relation>[<>!]=|=>|≠|≡|≤|≥|→|[<>])
  | (?P<equals>==?|≈)
  | (?P<operator>\*\*|[-+*/^])
  | (?P<open>[(\[{])
  | (?P<close>[)\]}])
  | (?P<percent>%)
  | (?P<break>[.,;:?"“”])
  | (?P<opaque>[^\s])
    """,
    re.VERBOSE,
)
_LIST_MARKER = re.compile(r"\s*+(?:\(?\d{1,3}[.)]|[-*•])\s++")
_LABEL = re.compile(r"\b(?:step|case|part|option|method|equation|example)\s{1,3}\d+", re.IGNORECASE)
_BOLD = re.compile(r"(?<![\d)])\*\*|\*\*(?![\d(])")  # markdown, where it cannot be a power
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox|operatorname)\{([^{}]*+)\}")
_SHORT_FRACTION = re.compile(r"\\[dt]?frac\s?(\d)\s?(\d)")

_PLAIN = str.maketrans(
    {"×": "*", "·": "*", "∙": "*", "÷": "/", "−": "-", "–": "-", "⁄": "/", "$": " ", "€": " ",
     "£": " ", "&": " ", "~": " ", "°": " ", "½": " 1/2", "¼": " 1/4", "¾": " 3/4"}
)  # fmt: skip
_LATEX = {
    r"\times": "*", r"\cdot": "*", r"\ast": "*", r"\div": "/", r"\approx": "≈", r"\left": "",
    r"\right": "", r"\quad": " ", r"\qquad": " ", r"\displaystyle": "", r"\boxed": "",
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\neq": "≠", r"\implies": "→",
    r"\Rightarrow": "→", r"\rightarrow": "→", r"\to": "→",
}  # fmt: skip
_COMMAND = re.compile(r"\\[a-zA-Z]++")


def _word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_FUNCTIONS = _word_set(
    "sqrt log ln exp sin cos tan gcd lcm max min abs floor ceil sum choose root squared "
    "cubed factorial hundred thousand million billion"
)
SAYS_EQUAL = ("is", "equals", "gives", "makes")  # between a calculation and a number
_KINDS = ("equals", "operator", "open", "close", "break")  # groups of _TOKEN that are items
_SIGNS = {"**": "^", "==": "="}
# Words between clauses: the words around them are not a number's unit.
_NO_UNIT = _word_set(
    "and or so then is are was were if but has have had that this which equals the we he "
    "she it they to for in on at from with because therefore thus hence gives means not"
)


def read_items(line: str) -> list[Item]:
    """Return the items of a line; its words become units, breaks or opaque items."""
    tokens = [(match.lastgroup or "", match[0]) for match in _TOKEN.finditer(_normalize(line))]
    items: list[Item] = []
    position = 0
    while position < len(tokens):
        kind, text = tokens[position]
        if kind == "word":
            end = position
            while end < len(tokens) and tokens[end][0] == "word":
                end += 1
            items.extend(_read_words(tokens, position, end, items))
            position = end
            continue
        is_rate = text == "/" and bool(items) and items[-1].kind == "number"
        if is_rate and _is_unit(tokens, position + 1, position + 2):
            position += 2  # "5/glass * 16 glasses": a slash before a word belongs to the unit
            continue
        items.append(_read_token(kind, text, items))
        position += 1
    return items


def read_numbers(line: str) -> tuple[Fraction, ...]:
    """Return the numbers in a line of prose."""
    if not any(character.isdigit() for character in line):
        return ()
    items = (_read_token(match.lastgroup or "", match[0], []) for match in _TOKEN.finditer(line))
    return tuple(item.value for item in items if item.kind == "number")


def _normalize(line: str) -> str:
    """Convert LaTeX, markdown and Unicode to one notation."""
    marker = _LIST_MARKER.match(line)
    line = _BOLD.sub(" ", _LABEL.sub(";", line[marker.end() :] if marker else line))
    if "\\" in line:
        for mark in ("\\!", "\\,", "\\;", "\\(", "\\)", "\\[", "\\]", "^\\circ", "^{\\circ}"):
            line = line.replace(mark, "" if mark in ("\\!", "\\,") else " ")
        line = line.replace("{,}", ",").replace("\\%", "%").replace("\\$", " ")
        line = _SHORT_FRACTION.sub(r"(\1/\2)", _TEXT_COMMAND.sub(r" \1 ", line))
        line = _COMMAND.sub(lambda match: _LATEX.get(match[0], match[0]), line)
    return line.translate(_PLAIN)


def _read_token(kind: str, text: str, items: list[Item]) -> Item:
    """Read a token that is not a word. A percent sign replaces the number before it."""
    if kind == "number":
        return _read_number(text)
    if kind == "percent" and items and items[-1].kind == "number":
        before = items.pop()
        return before._replace(text=before.text + "%", percent=True)
    if kind == "command" and text == r"\frac":
        return Item("fraction", text)
    return Item(kind if kind in _KINDS else "opaque", _SIGNS.get(text, text))


@lru_cache(maxsize=4096)  # a trace repeats the same few numbers
def _read_number(text: str) -> Item:
    if len(text) > MAX_DIGITS or not text.isascii():
        return Item("opaque", text[:MAX_DIGITS])
    plain = text.replace(",", "")
    # Fraction(str) runs a regex; an int is several times as fast.
    return Item("number", text, Fraction(plain) if "." in plain else Fraction(int(plain)))


def _read_words(
    tokens: list[tuple[str, str]], start: int, end: int, items: list[Item]
) -> list[Item]:
    """Read adjacent words by their neighbours: as times, of, a unit, a variable or prose."""
    first, before = tokens[start][1], items[-1].kind if items else "break"
    after, after_text = tokens[end] if end < len(tokens) else ("break", "")
    is_single = end - start == 1
    if before == "number" and is_single and after in ("number", "open"):
        # "40% of 50" and "1/2 of 50" multiply; "3 of 5" does not.
        is_part = items[-1].percent or [item.text for item in items[-2:-1]] == ["/"]
        if first in {"x", "X"} or (first == "of" and is_part):
            return [Item("operator", "*")]
    words = [text for _, text in tokens[start:end]]
    if (
        is_single
        and first in SAYS_EQUAL
        and after in ("number", "open")
        and _ends_calculation(items)
    ):
        return [Item("equals", "=")]
    is_product = before == "close" and any(len(word) < 3 for word in words)  # (1/3)Bh
    is_followed = after in ("operator", "equals") and not is_product
    if before in ("number", "close") and is_followed and _is_unit(tokens, start, end):
        items[-1] = items[-1]._replace(has_unit=True)
        return []
    is_variable = any(len(word) == 1 and word not in "aAI-" for word in words)
    is_function = words[-1].lower() in _FUNCTIONS or after in ("open", "opaque")
    is_attached = before == "operator" or after_text in ("^", "_")
    if is_variable or is_function or is_attached or first.lower() in _FUNCTIONS:
        return [Item("opaque", first)]
    return [Item("break", first)]


def _ends_calculation(items: list[Item]) -> bool:
    """Return whether the last items calculate; a fraction alone does not."""
    if not items or items[-1].kind not in ("number", "close"):
        return False
    for item in reversed(items):
        if item.kind == "operator" and item.text in "+-*":
            return True
        if item.kind in ("break", "equals", "opaque"):
            return False
    return False


def _is_unit(tokens: list[tuple[str, str]], start: int, end: int) -> bool:
    """Return whether these are up to three plain words; a single letter may be a variable."""
    words = [text.lower() for kind, text in tokens[start:end] if kind == "word"]
    return 0 < len(words) <= MAX_UNIT_WORDS and all(
        (len(word) > 1 or word == "-") and word not in _NO_UNIT and word not in _FUNCTIONS
        for word in words
    )
