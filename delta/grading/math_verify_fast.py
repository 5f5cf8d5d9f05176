r"""What Math-Verify finds in a whole text and what it says of it: the same, but faster.

Its `parse` searches a text with thirteen expressions, one after the other, at every character.
Eight of them begin with "answer" or "final answer", and one, a formula with a box in it, can only
begin on the box's line or at the display around it; here these are tried at such places alone. The
last three, for texts in which the others find nothing, are tried on the last lines first, since the
last match counts. The expressions, what they match and how it is read and compared stay the
library's own (0.9.0), and what it said once it need not say again: the traces of a problem often
have the same answer.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

REMEMBERED = 4_096  # readings, golds and comparisons, each, in a worker
LONGEST = 1_000  # characters of a reading that is remembered
ANSWER = re.compile("(?i:answer)")
LONG_S = "\u017f"  # an s where case does not count, and its own small letter
BOX = r"\boxed{"
LAST = 500  # characters, or a few more, that are looked through before the rest
BREAK = re.compile(r"[A-Za-z][.:;!?]\n")  # no number, and no "and" between formulas, goes over it
INLINE = re.compile(r"\$|\\\(|\s\[")  # where a formula within one line may begin

MOST_BLANKS = 100  # side by side
BLANKS = re.compile(rf"[ \t\u00a0]{{{MOST_BLANKS + 1},}}")

Groups = tuple[tuple[str, str], ...]
Starts = Callable[[str, list[int]], list[int]]


class Match(NamedTuple):
    """A match as far as its reading goes: what was looked for, and the groups that hold a text."""

    target: Any
    groups: Groups

    def groupdict(self) -> dict[str, str]:
        return dict(self.groups)


@dataclass(frozen=True)
class Reading:
    """What `parse` returns: a value or None, and the text of the first match it tried, or ""."""

    value: Any = field(compare=False)
    written: Groups  # what the value was made of: equal texts have equal values
    first: str

    def values(self) -> list[Any]:
        read = [] if self.value is None else [self.value]
        return [*read, *([self.first] if self.first else [])]


NOTHING = Reading(None, (), "")


def read(text: str) -> Reading:
    """The reading of a whole text; NOTHING where there is none."""
    try:
        # The library is cubic in blanks, which mean nothing to it: 20,000 would take two minutes.
        return _read(BLANKS.sub(lambda run: run[0][:MOST_BLANKS], text))
    except Exception:  # noqa: BLE001 - `parse` answers any with an empty list
        return NOTHING


@lru_cache(REMEMBERED)
def of_gold(gold_answer: str) -> Reading:
    # Bare LaTeX often parses to nothing; a box around it always says what it is.
    return read(f"\\boxed{{{gold_answer}}}")


def is_right(gold_answer: str, reading: Reading) -> bool:
    """Whether `verify` finds the reading equal to the gold answer's own."""
    is_short = _length(reading.written) + len(reading.first) <= LONGEST
    return (_is_right if is_short else _is_right.__wrapped__)(gold_answer, reading)


@lru_cache(REMEMBERED)
def _is_right(gold_answer: str, reading: Reading) -> bool:
    from math_verify import verify

    return bool(verify(of_gold(gold_answer).values(), reading.values(), timeout_seconds=None))


def _read(text: str) -> Reading:
    answers = _answers(text)
    first = ""
    for searches in _searches():
        anywhere = all(starts is None for _, starts, _ in searches)
        for begin in dict.fromkeys((_last_lines(text) if anywhere else 0, 0)):
            found = [
                (match, target)
                for pattern, starts, target in searches
                for match in _matches(pattern, starts, text, answers, begin)
            ]
            # The last to end counts first, of those that end together the longest.
            found.sort(key=lambda one: (one[0].end(), -one[0].start()), reverse=True)
            for match, target in found:
                held = tuple((name, text) for name, text in match.groupdict().items() if text)
                value, shown = _value(Match(target, held))
                first = first or shown
                if value is not None:
                    return Reading(value, _written(held, shown), first)
    return Reading(None, (), first)


def _answers(text: str) -> list[int]:
    """Where ANSWER matches, found sooner where a letter and its capital are both one character."""
    lower = text.lower()
    if len(lower) != len(text) or LONG_S in text:
        return [found.start() for found in ANSWER.finditer(text)]
    starts = []
    start = lower.find("answer")
    while start >= 0:
        starts.append(start)
        start = lower.find("answer", start + len("answer"))
    return starts


def _last_lines(text: str) -> int:
    """The start of the last lines, at a line's end that no match goes over, or 0.

    All formulas but displays end with their line; those joined by "and", "or" or a comma are one
    match, and so is a number with "percent", but there a stop after a letter cannot be.
    """
    if "$$" in text or r"\[" in text:
        return 0
    end = text.rfind("\n", 0, max(0, len(text) - LAST))
    while end > 0 and not BREAK.fullmatch(text, max(0, end - 2), end + 1):
        end = text.rfind("\n", 0, end)
    return max(end, 0)


def _written(groups: Groups, shown: str) -> Groups:
    """The same for one formula, whether it stood in a box or between dollars."""
    formulas = [name for name, _ in groups if "latex" in name]
    if len(formulas) != 1:
        return groups
    return (("latex", shown), *(group for group in groups if group[0] != formulas[0]))


def _length(groups: Groups) -> int:
    return sum(len(text) for _, text in groups)


def _value(match: Match) -> tuple[Any, str]:
    """What the library reads in a match, or None, and the text that it read."""
    return (_kept_value if _length(match.groups) <= LONGEST else _new_value)(match)


def _new_value(match: Match) -> tuple[Any, str]:
    from math_verify.parser import extract_match

    value, shown = extract_match(match, match.target)
    return value, shown or ""


_kept_value = lru_cache(REMEMBERED)(_new_value)


@lru_cache(1)
def parse_in_two_stages() -> None:
    """Have the library's grammar parsed as ANTLR advises: without context, and only where that
    finds an error with it. What the first parses, it parses as the second would."""
    from antlr4 import CommonTokenStream  # type: ignore[import-untyped]
    from antlr4.atn.PredictionMode import PredictionMode  # type: ignore[import-untyped]
    from latex2sympy2_extended.antlr_parser import PSParser

    in_context = PSParser.math

    def math(parser: Any) -> Any:
        parser._interp.predictionMode = PredictionMode.SLL
        try:
            return in_context(parser)
        except Exception:  # noqa: BLE001 - the library's listener raises nothing more special
            # Tokens anew: the old ones go on behind a character that no token begins with, where
            # the library fails (the \circ of `75^x\circ`).
            lexer = parser.getTokenStream().tokenSource
            lexer.reset()
            parser.setTokenStream(CommonTokenStream(lexer))  # which resets the parser
            parser._interp.predictionMode = PredictionMode.LL
            return in_context(parser)

    PSParser.math = math


@lru_cache(1)
def keep_sympys_names() -> None:
    """Have sympy look up its own names once, instead of for every number that it reads."""
    from sympy.parsing import sympy_parser

    parse_expr = sympy_parser.parse_expr
    names: dict[str, Any] = {}

    def take(tokens: Any, _: Any, global_dict: dict[str, Any]) -> Any:
        names.update(global_dict)
        return tokens

    parse_expr("1", transformations=(*sympy_parser.standard_transformations, take))

    def with_names(text: str, **given: Any) -> Any:
        return parse_expr(text, **{"global_dict": dict(names)} | given)

    sympy_parser.parse_expr = with_names


@lru_cache(1)
def _searches() -> list[list[tuple[re.Pattern[str], Starts | None, Any]]]:
    """The library's own expressions by priority, each with where it may begin (None: anywhere)."""
    from math_verify import parse
    from math_verify.parser import get_extraction_regexes

    assert parse.__defaults__
    searches = [
        (priority, pattern, _starts_of(pattern.pattern), target)
        for patterns, target in get_extraction_regexes(parse.__defaults__[0])
        for pattern, priority in patterns
    ]
    searches.sort(key=lambda search: search[0])
    return [
        [search[1:] for search in same] for _, same in groupby(searches, lambda search: search[0])
    ]


def _starts_of(pattern: str) -> Starts | None:
    if pattern.startswith("(?i:final answer"):
        return _at_final_answers
    if pattern.startswith("(?i:answer)"):
        return _at_answers
    if pattern.startswith(r"(?:(?:(?<!\\)\$\$") and r"\\boxed{" in pattern:
        return _around_boxes
    return None


def _matches(
    pattern: re.Pattern[str],
    starts: Starts | None,
    text: str,
    answers: list[int],
    begin: int = 0,
) -> Iterator[re.Match[str]]:
    """What `pattern.finditer(text, begin)` gives, if no match begins anywhere but at `starts`."""
    if starts is None:
        yield from pattern.finditer(text, begin)
        return
    assert begin == 0
    end = 0
    for start in starts(text, answers):
        if start >= end and (match := pattern.match(text, start)):
            yield match
            end = match.end()


def _at_answers(_: str, answers: list[int]) -> list[int]:
    return answers


def _at_final_answers(_: str, answers: list[int]) -> list[int]:
    before = len("final ")
    return [start - before for start in answers if start >= before]


def _around_boxes(text: str, _: list[int]) -> list[int]:
    r"""Where $…$, \(…\) and […] may begin on a box's line, and \[…\] and $$…$$ before a box.

    None of the first three goes beyond its line, \[ not beyond a \] and $$ not beyond a $$.
    """
    starts = set[int]()
    done, line, closed, dollars = 0, 0, 0, -1
    box = text.find(BOX)
    while box >= 0:
        line = max(line, text.rfind("\n", done, box))
        starts.update(found.start() for found in INLINE.finditer(text, max(line, done), box))
        closed = max(closed, text.rfind(r"\]", done, box))
        opened = text.find(r"\[", max(closed, done), box)
        while opened >= 0:
            starts.add(opened)
            opened = text.find(r"\[", opened + 1, box)
        dollars = max(dollars, text.rfind("$$", done, box))
        starts.update(start for start in (dollars - 1, dollars) if start >= 0)
        done = box
        box = text.find(BOX, box + 1)
    return sorted(starts)
