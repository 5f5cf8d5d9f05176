"""The verdict on an answer; each kind of answer has a grader module that returns it."""

from typing import NamedTuple


class Verdict(NamedTuple):
    """A grader's decision about an answer, the part of a reply after the reasoning."""

    outcome: str  # one of delta.core.schemas.OUTCOMES
    extracted: str | None
    reason: str | None  # why the outcome is not "correct"; None where it is


def compared_verdict(is_same: bool, extracted: str) -> Verdict:
    """Return the verdict on an answer that was compared with the gold answer."""
    outcome, reason = ("correct", None) if is_same else ("incorrect", "different")
    return Verdict(outcome, extracted, reason)


def verdict_without_answer(text: str | None, finish_reason: str, reason: str) -> Verdict:
    """Return the verdict if there is no answer. A reply whose end is missing has reason "cut"."""
    is_cut = text is None or finish_reason == "length"
    return Verdict("incorrect", None, "cut" if is_cut else reason)
