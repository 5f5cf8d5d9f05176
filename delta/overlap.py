r"""Is a training problem also asked by a benchmark? Runs of n words in common, or all of it.

Texts are evened out first: Unicode compatibility forms (NFKC) and case; LaTeX that only sets type
or space (`\left`, `\displaystyle`, `\mathrm`, `\,`, `~`, `$` and the like) goes; `\dfrac` and
`\tfrac` are `\frac`; `1,000` and `1{,}000` are `1000`. Two texts are *equal* where what remains,
white space aside, is the same, so `3 + 4` and `3 - 4` differ. A *word* is a run of letters or
digits of what remains; signs, braces and backslashes only part words, so `\frac{1}{2}` is the
three words `frac 1 2`.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

_TYPE_ONLY = re.compile(
    r"\\(?:left|right|big[lrm]?|bigg[lrm]?|displaystyle|textstyle|limits|mathrm|mathbf|mathit|mathbb"
    r"|mathcal|mathsf|operatorname|text|textbf|textit|textrm|emph|mbox|hbox|quad|qquad)(?![a-z])"
    r"|\\[,;:!> ()\[\]]"  # space, and the delimiters of formulas
    r"|\\?\$|~"
)
_FRACTION = re.compile(r"\\[dt]frac(?![a-z])")
_THOUSANDS = re.compile(r"(?<=\d)(?:,|\{,\}|\\,)(?=\d{3}(?!\d))")
_WORD = re.compile(r"[^\W_]+")


class Asked(NamedTuple):
    """One question of a benchmark."""

    benchmark: str
    question_id: str
    statement: str


class Shared(NamedTuple):
    """What a problem has in common with a benchmark: the first run of words, and its question."""

    benchmark: str
    question_id: str
    words: str


def evened(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    text = _THOUSANDS.sub("", text)
    return _TYPE_ONLY.sub(" ", _FRACTION.sub(r"\\frac", text))


def whole(text: str) -> str:
    """The whole text for comparing it with another: two are equal where this is."""
    return "".join(evened(text).split())


def keys(text: str, words: int | None) -> list[str]:
    """What two texts must not share: every run of `words` words; all of a text that has fewer.

    `words` null: all of it, always.
    """
    found = _WORD.findall(evened(text)) if words is not None else []
    if words is None or len(found) < words:
        return [whole(text)]
    return [" ".join(found[start : start + words]) for start in range(len(found) - words + 1)]


class Index:
    """The questions by what must not be shared with them; built once, asked for every problem."""

    def __init__(self, questions: Iterable[Asked], words: int | None) -> None:
        self.words = words
        self._held: dict[str, tuple[Asked, ...]] = {}  # of each benchmark its first question
        for question in questions:
            own = (question,)  # one tuple for all its runs: there are millions
            for key in keys(question.statement, words):
                there = self._held.get(key)
                if there is None:
                    self._held[key] = own
                elif all(other.benchmark != question.benchmark for other in there):
                    self._held[key] = there + own

    def shared(self, statement: str) -> list[Shared]:
        """One entry for each benchmark that has something in common with the statement."""
        found: dict[str, Shared] = {}
        for key in keys(statement, self.words):
            for question in self._held.get(key, ()):
                entry = Shared(question.benchmark, question.question_id, key)
                found.setdefault(question.benchmark, entry)
        return list(found.values())
