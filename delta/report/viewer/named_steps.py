"""Find the steps of a trace that its judge named: quoted, or by the step's number.

A justification may quote a calculation or a phrase of the trace, or name "step 3". A deduction of
the rule judge ends with the calculation or the numbers that it is about (delta/judging/rules). What
does not occur in the trace is not marked.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from delta.core.types import Row

MAX_STEPS = 20  # marks in one trace
MAX_NOTE = 2_000  # characters of a note that are read; a model's has at most 300
MIN_CHARACTERS = 3  # of a quotation; shorter ones are found anywhere

_QUOTATION = re.compile(r"“([^”]+)”|‘([^’]+)’|\"([^\"]+)\"|`([^`]+)`|(?<!\w)'([^']+)'(?!\w)")
_CALCULATION = re.compile(r"[-(.$]*\d[-\d\s.,+*/×÷⋅·^()%$]*[=≈]\s*[-$]?\d[\d.,]*")
_STEP = re.compile(r"\bsteps?\s+(\d{1,9})(?:\s*(?:,|and|&|to|-|–)\s*(\d{1,9}))?", re.IGNORECASE)
_STEP_LABEL = re.compile(
    r"^[ \t*#>_-]*(?:step[ \t]+)?(\d{1,9})(?:[.:)*]|[ \t]*[-–—]).*$", re.IGNORECASE | re.MULTILINE
)
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
    trace = _Trace(text)
    notes: dict[tuple[int, int, str], str] = {}
    for rating in ratings:
        for note in (*(rating["deductions"] or ()), rating["justification"] or ""):
            for start, end in _find_spans(trace, note[:MAX_NOTE]):
                notes.setdefault((start, end, rating["dimension"]), note)
    found = sorted((*span, note) for span, note in notes.items())[:MAX_STEPS]
    return [
        NamedStep(_utf16(text, start), _utf16(text, end), dimension, note)
        for start, end, dimension, note in found
    ]


class _Trace:
    """A text that is searched many times: a trace has megabytes, and most notes quote nothing."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def compact(self) -> str:
        return _compact(self.text)

    @cached_property
    def steps(self) -> dict[int, tuple[int, int]]:
        """Return the span of each line that begins with the number of a step."""
        spans: dict[int, tuple[int, int]] = {}
        for match in _STEP_LABEL.finditer(self.text):
            spans.setdefault(int(match[1]), match.span())
        return spans

    def find(self, quotation: str) -> tuple[int, int] | None:
        """Return the span of a quotation, which may have other blanks and capital letters."""
        if _compact(quotation) not in self.compact:
            return None
        match = _pattern(quotation).search(self.text)
        return match.span() if match else None


def _find_spans(trace: _Trace, note: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of the trace that `note` names."""
    if numbers := _NUMBERS.match(note):
        quotations = _NUMBER.findall(numbers[1].partition(" and ")[0])
    else:
        quotations = [piece for piece in _quotations(note) if len(piece) >= MIN_CHARACTERS]
    for quotation in dict.fromkeys(quotations):
        if span := trace.find(quotation):
            yield span
    for named in _STEP.finditer(note):
        for number in filter(None, named.groups()):
            if int(number) in trace.steps:
                yield trace.steps[int(number)]


def _quotations(note: str) -> Iterator[str]:
    """Yield what a note quotes: between quotation marks, after a colon, or a calculation."""
    for match in _QUOTATION.finditer(note):
        yield next(filter(None, match.groups())).strip()
    _, colon, tail = note.partition(": ")
    if colon:
        yield tail.strip().removesuffix(".")
    for match in _CALCULATION.finditer(note):
        yield match[0].strip().rstrip(".,")


def _compact(text: str) -> str:
    return "".join(text.split()).lower()


def _pattern(quotation: str) -> re.Pattern[str]:
    """Return a pattern that finds a quotation with other blanks, but not inside of a number."""
    pieces = re.findall(r"\w+|[^\w\s]", quotation)
    first, *others = map(re.escape, pieces)
    # The check of what stands before comes second: the search for a literal text is fast.
    before = rf"(?<![\w.]{first})" if pieces[0][0].isalnum() else ""
    after = r"(?!\w|\.\d)" if pieces[-1][-1].isalnum() else ""
    return re.compile(r"\s*".join([first + before, *others]) + after, re.IGNORECASE)


def _utf16(text: str, offset: int) -> int:
    return len(text[:offset].encode("utf-16-le")) // 2
