"""Decide the paper's claims: measure every part, correct the p-values, apply the rules."""

import itertools
from dataclasses import dataclass, replace

from delta.report.claims import rules
from delta.report.claims.measures import Evaluator, Measurement
from delta.report.claims.rules import ClaimVerdict
from delta.report.context import MissingResultError, ReportContext
from delta.report.paper import Claim
from delta.stats.multiple_testing import holm

SEVERITY: tuple[ClaimVerdict, ...] = ("does not hold", "cannot tell", "holds")


@dataclass(frozen=True)
class ClaimPart:
    """One quantity of a claim: its measurement, or the reason why there is none."""

    label: str  # the combination of entries; empty if the claim has one part
    measured: Measurement | None
    reason: str | None
    paper_value: float | None
    p: float | None = None  # corrected; None if the rule needs none
    verdict: ClaimVerdict = "not run"


@dataclass(frozen=True)
class ClaimResult:
    """A claim, its parts and the verdict on it."""

    claim: Claim
    parts: list[ClaimPart]
    verdict: ClaimVerdict

    @property
    def weakest(self) -> ClaimPart | None:
        """Return the measured part with the worst verdict, and of those the least certain one."""
        measured = [
            (SEVERITY.index(part.verdict), rules.distance_inside(self.claim, part.measured), n)
            for n, part in enumerate(self.parts)
            if part.measured is not None
        ]
        return self.parts[min(measured)[2]] if measured else None


def decide(claims: list[Claim], context: ReportContext) -> list[ClaimResult]:
    """Return the result of every claim, in the order of `claims`."""
    parts_by_claim = [_measure(claim, context) for claim in claims]
    corrected = _corrected_p(claims, parts_by_claim)
    results = []
    for number, (claim, parts) in enumerate(zip(claims, parts_by_claim, strict=True)):
        decided = [
            _apply_rule(claim, part, corrected.get((number, place)))
            for place, part in enumerate(parts)
        ]
        verdict = rules.combine_verdicts([part.verdict for part in decided])
        results.append(ClaimResult(claim, decided, verdict))
    return results


def _measure(claim: Claim, context: ReportContext) -> list[ClaimPart]:
    try:
        resolve = Evaluator(context).resolve
        entries = {
            name: [entry for text in texts for entry in resolve(text)]
            for name, texts in claim.for_each.items()
        }
    except MissingResultError as error:
        return [ClaimPart("", None, str(error), None)]
    parts = []
    for choice in itertools.product(*entries.values()):
        label, paper_value = ", ".join(choice), claim.paper_value
        if isinstance(paper_value, dict):
            paper_value = paper_value.get(label)
        evaluator = Evaluator(context, dict(zip(entries, choice, strict=True)))
        try:
            measured = evaluator.evaluate(claim.quantity, claim.threshold)
            parts.append(ClaimPart(label, measured, None, paper_value))
        except MissingResultError as error:
            parts.append(ClaimPart(label, None, str(error), paper_value))
    return parts


def _apply_rule(claim: Claim, part: ClaimPart, p: float | None) -> ClaimPart:
    if part.measured is None:
        return part
    return replace(part, p=p, verdict=rules.apply_rule(claim, part.measured, p))


def _corrected_p(
    claims: list[Claim], parts_by_claim: list[list[ClaimPart]]
) -> dict[tuple[int, int], float]:
    """Return (number of the claim, of its part) → p, Holm-corrected within each family."""
    families: dict[str, dict[tuple[int, int], float]] = {}
    for number, (claim, parts) in enumerate(zip(claims, parts_by_claim, strict=True)):
        for place, part in enumerate(parts):
            if claim.rule in rules.TESTED_RULES and part.measured is not None:
                families.setdefault(claim.family, {})[number, place] = part.measured.p
    return {
        key: p
        for tests in families.values()
        for key, p in zip(tests, holm(list(tests.values())), strict=True)
    }
