"""Decide the paper's claims: measure every part, correct the p-values, apply the rules."""

import itertools
from dataclasses import dataclass

from delta.evaluation.cut_answers import largest
from delta.report.claims import rules
from delta.report.claims.measures import Evaluator, Measurement
from delta.report.claims.rules import ClaimVerdict
from delta.report.context import MissingResultError, ReportContext
from delta.report.paper.claims import Claim
from delta.stats.multiple_testing import holm

SEVERITY: tuple[ClaimVerdict, ...] = ("does not hold", "cannot tell", "holds")


@dataclass
class ClaimPart:
    """One quantity of a claim: its measurement, or the reason why there is none."""

    label: str  # the combination of entries; empty if the claim has one part
    paper_value: float | None = None
    measured: Measurement | None = None
    reason: str | None = None
    p: float | None = None  # corrected; None if the rule needs none
    verdict: ClaimVerdict = "not run"


@dataclass(frozen=True)
class ClaimResult:
    """A claim and its parts."""

    claim: Claim
    parts: list[ClaimPart]

    @property
    def verdict(self) -> ClaimVerdict:
        return rules.combine_verdicts([part.verdict for part in self.parts])

    @property
    def weakest(self) -> ClaimPart | None:
        """Return the measured part with the worst verdict, and of those the least certain one."""
        measured = [
            (SEVERITY.index(part.verdict), rules.distance_inside(self.claim, part.measured), n)
            for n, part in enumerate(self.parts)
            if part.measured is not None
        ]
        return self.parts[min(measured)[2]] if measured else None

    @property
    def cut(self) -> float | None:
        """Return the largest share of cut answers of its measured parts, in percent."""
        measured = [part.measured.cut for part in self.parts if part.measured is not None]
        return largest(measured) if measured else 0.0


def decide(claims: list[Claim], context: ReportContext) -> list[ClaimResult]:
    """Return the result of every claim, in the order of `claims`.

    p-values are Holm-corrected within each family of claims.
    """
    results = [ClaimResult(claim, _measure(claim, context)) for claim in claims]
    tested: dict[str, list[tuple[ClaimPart, float]]] = {}  # family → parts and their p
    for result in results:
        if result.claim.rule in rules.TESTED_RULES:
            tested.setdefault(result.claim.family, []).extend(
                (part, part.measured.p) for part in result.parts if part.measured is not None
            )
    for tests in tested.values():
        for (part, _), p in zip(tests, holm([p for _, p in tests]), strict=True):
            part.p = p
    for result in results:
        for part in result.parts:
            if part.measured is not None:
                part.verdict = rules.apply_rule(result.claim, part.measured, part.p)
    return results


def _measure(claim: Claim, context: ReportContext) -> list[ClaimPart]:
    try:
        resolve = Evaluator(context).resolve
        entries = {
            name: [entry for text in texts for entry in resolve(text)]
            for name, texts in claim.for_each.items()
        }
    except MissingResultError as error:
        return [ClaimPart("", reason=str(error))]
    parts = []
    for choice in itertools.product(*entries.values()):
        label, paper_value = ", ".join(choice), claim.paper_value
        if isinstance(paper_value, dict):
            paper_value = paper_value.get(label)
        part = ClaimPart(label, paper_value)
        evaluator = Evaluator(context, dict(zip(entries, choice, strict=True)))
        try:
            part.measured = evaluator.evaluate(claim.quantity, claim.threshold)
        except MissingResultError as error:
            part.reason = str(error)
        parts.append(part)
    return parts
