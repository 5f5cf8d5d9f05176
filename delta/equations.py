"""Find the equations a reasoning trace writes down and check them by exact arithmetic.

Evidence for `delta.rules`, our own rater for the rubric of arXiv 2604.08723, appendix A.1.
The one principle: an expression we cannot read for certain (a variable, a unit we cannot tell
from a variable, a function, a modulus) is *no equation*. It is never a wrong one.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

MAX_DIGITS = 30  # a longer "number" is noise or an attack, and costs quadratic time to convert
MAX_EXPONENT = 64  # 2^64 is read, 9^9^9 is not
MAX_BITS = 512  # of any intermediate numerator or denominator
MAX_ITEMS = 400  # of one expression: "1+1+1+..." over a megabyte is no calculation
MAX_DEPTH = 30  # of brackets, far below Python's recursion limit
MAX_UNIT_WORDS = 3  # "40 cups per chicken * 20": words after a number that we take for its unit


class Equation(NamedTuple):
    """One `left = right` that could be read; a chain a = b = c gives two of them."""

    text: str
    operands: tuple[Fraction, ...]  # the numbers that were combined
    computed: Fraction  # what the combined side comes to
    stated: Fraction  # what the trace says it comes to
    holds: bool

    @property
    def is_rounding(self) -> bool:
        """Off by less than one whole: 16/3 = 5 bags, rounded without a word."""
        return self.stated.denominator == 1 and abs(self.computed - self.stated) < 1


class Line(NamedTuple):
    """One line of a trace: its equations, its numbers, and whether it has maths we did not read."""

    text: str
    equations: tuple[Equation, ...]
    numbers: tuple[Fraction, ...]
    opaque: bool


class _Item(NamedTuple):
    kind: str  # n number, o operator, ( ) brackets, f \frac, v opaque, b break, = equals sign
    text: str
    value: Fraction = Fraction(0)
    percent: bool = False
    has_unit: bool = False


class _Side(NamedTuple):
    items: tuple[_Item, ...]
    values: tuple[Fraction, ...]  # one, or two where "%" may mean "/100" or just the unit
    lone: bool  # a single number, so a result and not a calculation


class _UnreadableError(Exception):
    """The items are not one complete arithmetic expression within our bounds."""


# Possessive quantifiers (++, *+) keep every match linear: nothing here can backtrack into a run.
_TOKEN = re.compile(
    r"""
    (?P<clock>\d++:\d++)                                   # 9:15, 2:3 are no operands
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
_NOTE = re.compile(r"<<([^<>\n]*+)>>")  # GSM8K's calculator notes
_LIST_MARKER = re.compile(r"\s*+(?:\(?\d{1,3}[.)]|[-*•])\s++")
_LABEL = re.compile(r"\b(?:step|case|part|option|method|equation|example)\s{1,3}\d+", re.IGNORECASE)
_BOLD = re.compile(r"(?<![\d)])\*\*|\*\*(?![\d(])")  # markdown, where it cannot be a power
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox|operatorname)\{([^{}]*+)\}")
_SHORT_FRACTION = re.compile(r"\\[dt]?frac\s?(\d)\s?(\d)")
_MODULUS = re.compile(r"\bmod\b|\\[pb]?mod", re.IGNORECASE)

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
_KINDS = {"equals": "=", "operator": "o", "open": "(", "close": ")", "break": "b"}
_SIGNS = {"**": "^", "==": "="}
# A word that ends the thought before it, so the words around it cannot be a number's unit.
_NO_UNIT = _word_set(
    "and or so then is are was were if but has have had that this which equals the we he "
    "she it they to for in on at from with because therefore thus hence gives means not"
)


def read_lines(text: str) -> list[Line]:
    """Split a trace into lines and read each; blank lines are left out."""
    lines: list[Line] = []
    for raw in _logical_lines(text):
        if "=" not in raw and "≈" not in raw and "\\" not in raw:
            # Nine lines of ten in a long trace are prose: only their numbers matter.
            lines.append(Line(raw, (), _prose_numbers(raw), opaque=False))
            continue
        items = _itemise(_normalise(_NOTE.sub("", raw)))
        if _MODULUS.search(raw):  # 3^4 = 1 (mod 5) is right
            items = [item for item in items if item.kind != "="]
        equations: dict[tuple[object, ...], Equation] = {}
        for note in _NOTE.findall(raw):
            _add_equations(equations, _itemise(_normalise(note)))
        # The note and the text around it state the same step: one equation, unless they differ.
        _add_equations(equations, items)
        lines.append(
            Line(
                text=raw,
                equations=tuple(equations.values()),
                numbers=tuple(item.value for item in items if item.kind == "n"),
                opaque=any(item.kind == "v" for item in items),
            )
        )
    return lines


def find_equations(text: str) -> list[Equation]:
    """Every equation of a text that could be read, in order."""
    return [equation for line in read_lines(text) for equation in line.equations]


def read_value(text: str) -> Fraction | None:
    """The number or arithmetic expression that a text begins with, such as "$1,080" or "3/4"."""
    side = _read_side(_head(_itemise(_normalise(text))))
    return side.values[-1] if side else None


def _prose_numbers(line: str) -> tuple[Fraction, ...]:
    if not any(character.isdigit() for character in line):
        return ()
    found = (_read_token(match.lastgroup or "", match[0], []) for match in _TOKEN.finditer(line))
    return tuple(item.value for item in found if item.kind == "n")


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without the blank ones; a line that begins with "=" continues the one before."""
    pending = ""
    for raw in text.replace("\\\\", "\n").split("\n"):
        line = raw.strip()
        if line.startswith(("=", "&=", "& =")) and pending:
            # Only the tail can matter, and a cut keeps a thousand continuations linear.
            pending = pending[-2000:] + " " + line
            continue
        if pending:
            yield pending
        pending = line
    if pending:
        yield pending


def _normalise(line: str) -> str:
    """One notation for what LaTeX, markdown and Unicode write in many."""
    marker = _LIST_MARKER.match(line)
    line = _BOLD.sub(" ", _LABEL.sub(";", line[marker.end() :] if marker else line))
    if "\\" in line:
        for mark in ("\\!", "\\,", "\\;", "\\(", "\\)", "\\[", "\\]", "^\\circ", "^{\\circ}"):
            line = line.replace(mark, "" if mark in ("\\!", "\\,") else " ")
        line = line.replace("{,}", ",").replace("\\%", "%").replace("\\$", " ")
        line = _SHORT_FRACTION.sub(r"(\1/\2)", _TEXT_COMMAND.sub(r" \1 ", line))
        line = _COMMAND.sub(lambda match: _LATEX.get(match[0], match[0]), line)
    return line.translate(_PLAIN)


def _itemise(line: str) -> list[_Item]:
    """Turn a line into the items of its expressions; words become units, breaks or opaque."""
    tokens = [(match.lastgroup or "", match[0]) for match in _TOKEN.finditer(line)]
    items: list[_Item] = []
    place = 0
    while place < len(tokens):
        kind, text = tokens[place]
        if kind == "word":
            end = place
            while end < len(tokens) and tokens[end][0] == "word":
                end += 1
            items.extend(_read_words(tokens, place, end, items))
            place = end
            continue
        is_rate = text == "/" and bool(items) and items[-1].kind == "n"
        if is_rate and _is_unit(tokens, place + 1, place + 2):
            place += 2  # "5/glass * 16 glasses": a slash before a word belongs to the unit
            continue
        items.append(_read_token(kind, text, items))
        place += 1
    return items


def _read_token(kind: str, text: str, items: list[_Item]) -> _Item:
    """One token that is no word. A percent sign replaces the number before it."""
    if kind == "number":
        return _read_number(text)
    if kind == "percent" and items and items[-1].kind == "n":
        before = items.pop()
        return before._replace(text=before.text + "%", percent=True)
    if kind == "command" and text == r"\frac":
        return _Item("f", text)
    return _Item(_KINDS.get(kind, "v"), _SIGNS.get(text, text))


@lru_cache(maxsize=4096)  # a trace uses the same few numbers over and over
def _read_number(text: str) -> _Item:
    if len(text) > MAX_DIGITS or not text.isascii():
        return _Item("v", text[:MAX_DIGITS])
    plain = text.replace(",", "")
    # Fraction(str) runs a regex of its own: an int is several times as fast.
    return _Item("n", text, Fraction(plain) if "." in plain else Fraction(int(plain)))


def _read_words(
    tokens: list[tuple[str, str]], start: int, end: int, items: list[_Item]
) -> list[_Item]:
    """What a run of words is, by its neighbours: times, of, a unit, a variable, or prose."""
    first, before = tokens[start][1], items[-1].kind if items else "b"
    after, after_text = tokens[end] if end < len(tokens) else ("break", "")
    is_single = end - start == 1
    if before == "n" and is_single and after in ("number", "open"):
        # "40% of 50" and "1/2 of 50" multiply; "3 of 5" does not.
        is_part = items[-1].percent or [item.text for item in items[-2:-1]] == ["/"]
        if first in {"x", "X"} or (first == "of" and is_part):
            return [_Item("o", "*")]
    is_product = before == ")" and any(len(text) < 3 for _, text in tokens[start:end])  # (1/3)Bh
    is_followed = after in ("operator", "equals") and not is_product
    if before in "n)" and is_followed and _is_unit(tokens, start, end):
        items[-1] = items[-1]._replace(has_unit=True)
        return []
    is_variable = any(len(text) == 1 and text not in "aAI-" for _, text in tokens[start:end])
    is_function = tokens[end - 1][1].lower() in _FUNCTIONS or after in ("open", "opaque")
    is_attached = before == "o" or after_text in ("^", "_")
    if is_variable or is_function or is_attached or first.lower() in _FUNCTIONS:
        return [_Item("v", first)]
    return [_Item("b", first)]


def _is_unit(tokens: list[tuple[str, str]], start: int, end: int) -> bool:
    """Up to three plain words. A single letter may be a variable, so it is no unit."""
    words = [text.lower() for kind, text in tokens[start:end] if kind == "word"]
    return 0 < len(words) <= MAX_UNIT_WORDS and all(
        (len(word) > 1 or word == "-") and word not in _NO_UNIT and word not in _FUNCTIONS
        for word in words
    )


def _add_equations(found: dict[tuple[object, ...], Equation], items: list[_Item]) -> None:
    """Read each "=" between the expression that ends before it and the one that starts after."""
    signs = [place for place, item in enumerate(items) if item.kind == "="]
    edges = [-1, *signs, len(items)]
    for number, sign in enumerate(signs):
        before = _tail(items[edges[number] + 1 : sign])
        after = _head(items[sign + 1 : edges[number + 2]])
        if len(before) + len(after) < 4:
            continue  # no room for "a + b = c": spares the work on "x = 5"
        left, right = _read_side(before), _read_side(after)
        if left is None or right is None or (left.lone and (right.lone or _has_unit(left))):
            continue  # "1 week = 7 days" and "2 cats = 60/2 = 30" define, they do not calculate
        equation = _compare(left, right, is_rounded=items[sign].text == "≈")
        found.setdefault((equation.operands, equation.stated), equation)


def _tail(segment: list[_Item]) -> list[_Item]:
    """The expression that ends a segment: all after the last break or unclosed bracket."""
    depth = 0
    for place in range(len(segment) - 1, -1, -1):
        kind = segment[place].kind
        depth += {")": 1, "(": -1}.get(kind, 0)
        if kind == "v":
            return []  # "f(3) = 7": what stands beside a variable belongs to it
        if depth < 0 or kind == "b":
            # A bracket that a break cuts open is a call or a tuple: (3, 4), max(1, 2).
            return (
                segment[place + 1 :] if depth <= 0 and not _is_signed_word(segment, place) else []
            )
    return segment


def _is_signed_word(segment: list[_Item], place: int) -> bool:
    """ "cost - 5 = 20": after a word a leading sign is a subtraction from something unread."""
    follows = segment[place + 1 : place + 2]
    return bool(follows) and follows[0].kind == "o"


def _head(segment: list[_Item]) -> list[_Item]:
    """The expression that begins a segment: all before the first break or unopened bracket."""
    depth = 0
    for place, item in enumerate(segment):
        depth += {"(": 1, ")": -1}.get(item.kind, 0)
        if item.kind == "v":
            return []
        if depth < 0 or item.kind == "b":
            return segment[:place] if depth <= 0 else []
    return segment


def _read_side(items: list[_Item]) -> _Side | None:
    if not items or len(items) > MAX_ITEMS:
        return None
    has_percent = any(item.percent for item in items)
    scales = (Fraction(1, 100), Fraction(1)) if has_percent else (Fraction(1),)
    try:
        values = tuple(_Parser(items, scale).read() for scale in scales)
    except (_UnreadableError, ZeroDivisionError):
        return None
    lone = sum(item.kind != "o" for item in items) == 1
    return _Side(tuple(items), values, lone)


def _compare(left: _Side, right: _Side, *, is_rounded: bool) -> Equation:
    """Compare two sides as exactly as the digits shown allow (a rounded or a cut last digit)."""
    combined, shown = (right, left) if left.lone else (left, right)
    tolerance = _tolerance(shown, is_rounded=is_rounded)
    holds = combined.values == shown.values or any(
        abs(a - b) <= max(tolerance * (abs(b) if not shown.lone else unit), abs(b) / 10**9)
        for a in combined.values
        for b, unit in zip(shown.values, _units(shown), strict=True)
    )
    return Equation(
        text=" ".join(item.text for item in (*left.items, _Item("=", "="), *right.items))[:80],
        operands=tuple(item.value for item in combined.items if item.kind == "n"),
        computed=combined.values[0],
        stated=shown.values[-1] if shown.lone else shown.values[0],
        holds=holds,
    )


def _tolerance(shown: _Side, *, is_rounded: bool) -> Fraction:
    """How far off a side may be: in units of its last digit if a number, else relative."""
    if shown.lone:
        # 5/2 = 2 is wrong, 5/2 ≈ 2 is rounded; 5/3 = 1.66 and 1.67 are both fine.
        return Fraction(1 if is_rounded or _decimals(shown) else 0)
    has_decimals = any("." in item.text for item in shown.items)
    return Fraction(1, 100) if is_rounded or has_decimals else Fraction(0)


def _units(shown: _Side) -> tuple[Fraction, ...]:
    unit = Fraction(1, 10 ** _decimals(shown))
    return (unit / 100, unit) if len(shown.values) == 2 else (unit,)


def _has_unit(side: _Side) -> bool:
    return side.items[-1].has_unit


def _decimals(shown: _Side) -> int:
    return len(shown.items[-1].text.rstrip("%").partition(".")[2])


class _Parser:
    """Recursive descent over items, with bounds in place of trust."""

    def __init__(self, items: list[_Item], percent_scale: Fraction) -> None:
        self.items = items
        self.percent_scale = percent_scale
        self.place = 0

    def read(self) -> Fraction:
        value = self._sum(0)
        if self.place != len(self.items):
            raise _UnreadableError
        return value

    def _next(self) -> str:
        """What comes next: an operator's sign, another item's kind, or "" at the end."""
        if self.place == len(self.items):
            return ""
        item = self.items[self.place]
        return item.text if item.kind == "o" else item.kind

    def _sum(self, depth: int) -> Fraction:
        value = self._product(depth)
        while (sign := self._next()) in ("+", "-"):
            self.place += 1
            term = self._product(depth)
            value = _bounded(value + term if sign == "+" else value - term)
        return value

    def _product(self, depth: int) -> Fraction:
        value = self._power(depth)
        while (sign := self._next()) in ("*", "/", "("):
            self.place += sign != "("  # 2(3 + 4): no sign to step over
            factor = self._power(depth)
            value = _bounded(value / factor if sign == "/" else value * factor)
        return value

    def _power(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise _UnreadableError
        if self._next() in ("-", "+"):
            sign = self._next()
            self.place += 1
            value = self._power(depth + 1)
            return -value if sign == "-" else value
        base = self._atom(depth)
        if self._next() != "^":
            return base
        self.place += 1
        exponent = self._power(depth + 1)
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if exponent.denominator != 1 or abs(exponent) > MAX_EXPONENT:
            raise _UnreadableError
        if size * abs(int(exponent)) > 2 * MAX_BITS:
            raise _UnreadableError
        return _bounded(Fraction(base ** int(exponent)))

    def _atom(self, depth: int) -> Fraction:
        kind = self._next()
        if kind == "(":
            return self._group(depth)
        if kind == "f":
            self.place += 1
            return self._group(depth) / self._group(depth)
        if kind != "n":
            raise _UnreadableError
        item = self.items[self.place]
        self.place += 1
        value = item.value * self.percent_scale if item.percent else item.value
        return value + self._mixed_part(depth, value)

    def _mixed_part(self, depth: int, whole: Fraction) -> Fraction:
        """The 1/2 of "2 1/2" or of 2\\frac{1}{2}; two numbers side by side mean nothing else."""
        if self._next() not in ("n", "f"):
            return Fraction(0)
        if self._next() == "f":
            part = self._atom(depth)
        else:
            texts = [item.text for item in self.items[self.place : self.place + 3]]
            if len(texts) < 3 or texts[1] != "/" or not (texts[0] + texts[2]).isdigit():
                raise _UnreadableError
            part = Fraction(int(texts[0]), int(texts[2]))
            self.place += 3
        if whole.denominator != 1 or not 0 < part < 1:
            raise _UnreadableError
        return part

    def _group(self, depth: int) -> Fraction:
        if self._next() != "(" or depth > MAX_DEPTH:
            raise _UnreadableError
        self.place += 1
        value = self._sum(depth + 1)
        if self._next() != ")":
            raise _UnreadableError
        self.place += 1
        return value


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise _UnreadableError
    return value
