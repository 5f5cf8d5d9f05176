"""Right, wrong, or not gradable: one module for each kind of answer."""

from typing import NamedTuple


class Verdict(NamedTuple):
    """What a grader says of one answer, the part of a reply after the reasoning."""

    outcome: str  # one of delta.core.schemas.OUTCOMES
    extracted: str | None
    reason: str | None  # why the outcome is not "correct"; None where it is
