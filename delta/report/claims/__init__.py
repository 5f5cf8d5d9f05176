"""The paper's claims decided: ours with its interval, and whether the claim holds here."""

import itertools
from dataclasses import dataclass, replace

from delta.report.claims import rules
from delta.report.claims.measures import Estimate, Evaluator, resolved
from delta.report.claims.rules import Verdict
from delta.report.context import MissingResultError, ReportContext
from delta.report.paper import Claim
from delta.stats.multiple_testing import holm

WORST_FIRST: tuple[Verdict, ...] = ("does not hold", "cannot tell", "holds")


@dataclass(frozen=True)
class ClaimPart:
    """One quantity of a claim."""

    label: str  # the choice that makes this part; empty where there is one part only
    found: Estimate | None
    why: str | None  # why it was not found
    paper: float | None  # what the paper printed for it
    p: float | None = None  # corrected; None where the rule needs none
    verdict: Verdict = "not run"


@dataclass(frozen=True)
class ClaimResult:
    claim: Claim
    parts: list[ClaimPart]
    verdict: Verdict

    @property
    def weakest(self) -> ClaimPart | None:
        """The part that decides: of the worst verdict, and the least inside its rule."""
        claim = self.claim
        there = [
            (
                _ORDER.index(part.verdict),
                rules.margin_inside_rule(claim.rule, part.found, claim.than, claim.margin),
                n,
            )
            for n, part in enumerate(self.parts)
            if part.found is not None
        ]
        return self.parts[min(there)[2]] if there else None


_ORDER: list[Verdict] = ["does not hold", "cannot tell", "holds", "not run"]


def decide(claims: list[Claim], world: ReportContext) -> list[ClaimResult]:
    """Every claim, in the file's order."""
    measured = [(claim, _parts(claim, world)) for claim in claims]
    corrected = _corrected(measured)
    found = []
    for number, (claim, parts) in enumerate(measured):
        judged = []
        for place, part in enumerate(parts):
            if part.found is None:
                judged.append(part)
                continue
            p = corrected.get((number, place))
            verdict = rules.decided(claim.rule, part.found, p, claim.than, claim.margin)
            judged.append(replace(part, p=p, verdict=verdict))
        verdict = rules.combine_verdicts([part.verdict for part in judged])
        found.append(ClaimResult(claim, judged, verdict))
    return found


def _parts(claim: Claim, world: ReportContext) -> list[ClaimPart]:
    try:
        outside = Evaluator(world, {})
        entries = {
            name: [entry for word in words for entry in resolved(word, world, outside.names)]
            for name, words in claim.each.items()
        }
    except MissingResultError as missing:
        return [ClaimPart("", None, str(missing), None)]
    found = []
    for choice in itertools.product(*entries.values()):
        names = dict(zip(entries, choice, strict=True))
        label = ", ".join(choice)
        paper = claim.paper.get(label) if isinstance(claim.paper, dict) else claim.paper
        try:
            value = Evaluator(world, names).of(claim.of, claim.than)
            found.append(ClaimPart(label, value, None, paper))
        except MissingResultError as missing:
            found.append(ClaimPart(label, None, str(missing), paper))
    return found


def _corrected(measured: list[tuple[Claim, list[ClaimPart]]]) -> dict[tuple[int, int], float]:
    """Holm within each table or figure: claim's and part's place → p."""
    tests: dict[str, dict[tuple[int, int], float]] = {}
    for number, (claim, parts) in enumerate(measured):
        for place, part in enumerate(parts):
            if claim.rule in rules.TESTS and part.found is not None:
                tests.setdefault(claim.family, {})[number, place] = part.found.p
    return {
        key: p
        for family in tests.values()
        for key, p in zip(family, holm(list(family.values())), strict=True)
    }
