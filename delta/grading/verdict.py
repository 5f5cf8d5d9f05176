"""The verdict on one answer; each kind of answer has a module that gives it."""

from typing import NamedTuple


class Verdict(NamedTuple):
    """What a grader decides about one answer, the part of a reply after the reasoning."""

    outcome: str  # one of delta.core.schemas.OUTCOMES
    extracted: str | None
    reason: str | None  # why the outcome is not "correct"; None where it is


def verdict_without_answer(text: str | None, finish_reason: str, reason: str) -> Verdict:
    """Return the verdict where no answer is found: "cut" where the end of the reply is missing."""
    is_cut = text is None or finish_reason == "length"
    return Verdict("incorrect", None, "cut" if is_cut else reason)
