"""Find the steps of a trace that its judge named: quoted, or by the step's number.

A justification may quote a calculation or a phrase of the trace, or name "step 3". A deduction of
the rule judge ends with the calculation or the numbers that it is about (delta/judging/rules). What
does not occur in the trace is not marked.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from delta.core.types import Row

MAX_STEPS = 20  # marks in one trace
MIN_CHARACTERS = 3  # of a quotation; shorter ones are found anywhere

_QUOTATION = re.compile(r"“([^”]+)”|‘([^’]+)’|\"([^\"]+)\"|`([^`]+)`|(?<!\w)'([^']+)'(?!\w)")
_CALCULATION = re.compile(r"[-(.$]*\d[-\d\s.,+*/×÷⋅·^()%$]*[=≈]\s*[-$]?\d[\d.,]*")
_STEP = re.compile(r"\bsteps?\s+(\d+)(?:\s*(?:,|and|&|to|-|–)\s*(\d+))?", re.IGNORECASE)
# Deductions of the rule judge that end with numbers of the trace (delta/judging/rules/rate.py).
_NUMBERS = re.compile(r"^(?:hallucinated data: |unjustified leap to )(.*)$", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class NamedStep(NamedTuple):
    """A span of a trace and what its judge said about it. Offsets are in UTF-16 code units."""

    start: int
    end: int
    dimension: str
    note: str


def find_named_steps(text: str, ratings: Iterable[Row]) -> list[NamedStep]:
    """Return the spans of `text` that its ratings name, in their order, each once a dimension.

    The offsets are those of JavaScript: in UTF-16 code units.
    """
    notes: dict[tuple[int, int, str], str] = {}
    for rating in ratings:
        for note in (*(rating["deductions"] or ()), rating["justification"] or ""):
            for start, end in _find_spans(text, note):
                notes.setdefault((start, end, rating["dimension"]), note)
    found = sorted((*span, note) for span, note in notes.items())[:MAX_STEPS]
    return [
        NamedStep(_utf16(text, start), _utf16(text, end), dimension, note)
        for start, end, dimension, note in found
    ]


def _find_spans(text: str, note: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of `text` that `note` names."""
    if numbers := _NUMBERS.match(note):
        quotations = _NUMBER.findall(numbers[1].partition(" and ")[0])
    else:
        quotations = [piece for piece in _quotations(note) if len(piece) >= MIN_CHARACTERS]
    for quotation in quotations:
        if match := _pattern(quotation).search(text):
            yield match.span()
    for step in _STEP.finditer(note):
        for number in filter(None, step.groups()):
            label = rf"^[ \t*#>_-]*(?:step\s+)?{int(number)}(?:[.:)*]|\s*[-–—]).*$"
            if match := re.search(label, text, re.IGNORECASE | re.MULTILINE):
                yield match.span()


def _quotations(note: str) -> Iterator[str]:
    """Yield what a note quotes: between quotation marks, after a colon, or a calculation."""
    for match in _QUOTATION.finditer(note):
        yield next(filter(None, match.groups())).strip()
    _, colon, tail = note.partition(": ")
    if colon:
        yield tail.strip().removesuffix(".")
    for match in _CALCULATION.finditer(note):
        yield match[0].strip().rstrip(".,")


def _pattern(quotation: str) -> re.Pattern[str]:
    """Return a pattern that finds a quotation with other blanks, but not inside of a number."""
    pieces = re.findall(r"\w+|[^\w\s]", quotation)
    body = r"\s*".join(map(re.escape, pieces))
    before = r"(?<![\w.])" if pieces and pieces[0][0].isalnum() else ""
    after = r"(?!\w|\.\d)" if pieces and pieces[-1][-1].isalnum() else ""
    return re.compile(f"{before}{body or '(?!)'}{after}", re.IGNORECASE)


def _utf16(text: str, offset: int) -> int:
    return len(text[:offset].encode("utf-16-le")) // 2
