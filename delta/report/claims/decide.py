"""Decide the paper's claims: measure every part, correct the p-values, apply the rules."""

import itertools
from dataclasses import dataclass, field

from delta.evaluation.cut_answers import largest
from delta.report.claims import rules
from delta.report.claims.contrast import SeedNoise
from delta.report.claims.measures import Evaluator, Measurement
from delta.report.claims.required_sizes import RequiredSizes, required_sizes
from delta.report.claims.rules import ClaimVerdict
from delta.report.context import MissingResultError, NotTestableError, ReportContext
from delta.report.paper.claims import Claim
from delta.stats.multiple_testing import holm
from delta.stats.one_sided import RulePs

TestKey = tuple[float, ...]  # numbers that two tests share only if they are the same test


@dataclass
class ClaimPart:
    """One quantity of a claim: its measurement, or the reason why there is none."""

    label: str  # the combination of entries; empty if the claim has one part
    paper_value: float | None = None
    measured: Measurement | None = None
    ps: RulePs | None = None  # one-sided, not corrected
    reason: str | None = None
    verdict: ClaimVerdict = "not run"

    @property
    def p(self) -> float | None:
        """Return the p of the side that the part is on, not corrected; None if not measured."""
        return None if self.ps is None else rules.two_sided(min(self.ps))


@dataclass
class ClaimResult:
    """A claim and its parts."""

    claim: Claim
    parts: list[ClaimPart]
    ps: RulePs | None = None  # one-sided, corrected within the family; None: nothing is measured
    verdict: ClaimVerdict = "not run"
    required: RequiredSizes | None = None  # of "cannot tell"
    tests: frozenset[TestKey] = field(default_factory=frozenset)

    @property
    def measured_parts(self) -> list[ClaimPart]:
        """Return the parts that have a measurement."""
        return [part for part in self.parts if part.measured is not None]

    @property
    def p(self) -> float | None:
        """Return the p of the verdict, corrected; of the nearer one where it cannot be told."""
        if self.ps is None:
            return None
        one_sided = self.ps.holds if self.verdict == "holds" else self.ps.refuted
        return rules.two_sided(min(self.ps) if self.verdict == "cannot tell" else one_sided)

    @property
    def weakest(self) -> ClaimPart | None:
        """Return the part that decides: the surest to be refuted, or the least sure to hold."""
        side = "refuted" if self.verdict == "does not hold" else "holds"
        # Where p is too small for a float, the value that is nearest to the threshold is weakest.
        parts = [
            (getattr(part.ps, side), -abs(part.measured.value - self.claim.threshold), n)
            for n, part in enumerate(self.parts)
            if part.ps is not None and part.measured is not None
        ]
        if not parts:
            return None
        return self.parts[min(parts)[2] if side == "refuted" else max(parts)[2]]

    @property
    def cut(self) -> float | None:
        """Return the largest share of cut answers of its measured parts, in percent."""
        measured = [part.measured.cut for part in self.parts if part.measured is not None]
        return largest(measured) if measured else 0.0

    @property
    def reasons(self) -> list[str]:
        """Return why parts, or runs of an average, have no test here; each reason once."""
        reasons = [part.reason for part in self.parts if part.reason]
        measured = [part.measured for part in self.parts if part.measured is not None]
        left_out = [text for measurement in measured for text in measurement.left_out]
        return list(dict.fromkeys([*reasons, *left_out]))


def decide(claims: list[Claim], context: ReportContext) -> list[ClaimResult]:
    """Return the result of every claim, in the order of `claims`.

    p-values are Holm-corrected within each family of claims. Claims with the same tests enter it
    once.
    """
    noise = SeedNoise(context)
    results = [ClaimResult(claim, _measure(claim, context, noise)) for claim in claims]
    families: dict[str, list[ClaimResult]] = {}
    for result in results:
        families.setdefault(result.claim.family, []).append(result)
        result.verdict = _unmeasured(result)
    for family in families.values():
        decide_family([result for result in family if result.measured_parts])
    return results


def _unmeasured(result: ClaimResult) -> ClaimVerdict:
    """Return the verdict on a claim none of whose parts is measured."""
    verdicts = {part.verdict for part in result.parts}
    return "not testable here" if verdicts == {"not testable here"} else "not run"


def decide_family(results: list[ClaimResult]) -> None:
    """Set p-values and verdicts of the claims of a family that have a measured part."""
    raw: dict[frozenset[TestKey], RulePs] = {}
    for result in results:
        distinct = {_test(part): part.ps for part in result.measured_parts if part.ps is not None}
        result.tests = frozenset(distinct)
        raw[result.tests] = rules.claim_ps(list(distinct.values()))
    corrected = dict(
        zip(
            raw,
            map(
                RulePs,
                holm([ps.holds for ps in raw.values()]),
                holm([ps.refuted for ps in raw.values()]),
            ),
            strict=True,
        )
    )
    for result in results:
        result.ps = corrected[result.tests]
        is_complete = all(part.measured or part.verdict != "not run" for part in result.parts)
        holds = result.ps.holds if is_complete else 1.0  # a missing part may not hold
        result.verdict = rules.verdict(RulePs(holds, result.ps.refuted))
        _decide_parts(result, len(raw))
        if result.verdict == "cannot tell":
            if not is_complete:
                result.verdict = "not run"
            elif (weakest := result.weakest) is not None and weakest.measured is not None:
                result.required = required_sizes(result.claim, weakest.measured, len(raw))


def _decide_parts(result: ClaimResult, family: int) -> None:
    """Set the verdicts of the measured parts of a claim in a family of so many.

    All parts of a claim that holds do, and the weakest part of a refuted one is refuted. Every
    other part is corrected for all claims of the family (Bonferroni), and to be refuted for the
    parts of the claim too.
    """
    for part in result.measured_parts:
        assert part.ps is not None
        refuted = part.ps.refuted * len(result.tests)
        alone = (min(1.0, p * family) for p in (part.ps.holds, refuted))
        decides = result.verdict == "holds" or (
            result.verdict == "does not hold" and part is result.weakest
        )
        part.verdict = result.verdict if decides else rules.verdict(RulePs(*alone))


def _test(part: ClaimPart) -> TestKey:
    assert part.measured is not None
    assert part.ps is not None
    return tuple(round(number, 10) for number in (*part.measured[:3], *part.ps))


def _measure(claim: Claim, context: ReportContext, noise: SeedNoise) -> list[ClaimPart]:
    try:
        resolve = Evaluator(context, noise=noise).resolve
        entries = {
            name: list(dict.fromkeys(entry for text in texts for entry in resolve(text)))
            for name, texts in claim.for_each.items()
        }
    except MissingResultError as error:
        return [ClaimPart("", reason=str(error), verdict=_verdict_of(error))]
    parts = []
    for choice in itertools.product(*entries.values()):
        label, paper_value = ", ".join(choice), claim.paper_value
        if isinstance(paper_value, dict):
            paper_value = paper_value.get(label)
        part = ClaimPart(label, paper_value)
        evaluator = Evaluator(context, dict(zip(entries, choice, strict=True)), noise)
        try:
            part.measured = evaluator.evaluate(claim)
            part.ps = rules.part_ps(claim, part.measured)
        except MissingResultError as error:
            part.measured, part.reason, part.verdict = None, str(error), _verdict_of(error)
        parts.append(part)
    return parts


def _verdict_of(error: MissingResultError) -> ClaimVerdict:
    return "not testable here" if isinstance(error, NotTestableError) else "not run"
