"""Decide when a claim holds. Every verdict follows from these rules; none is set by hand.

above, below: the quantity is on that side of the threshold. It is refuted where it is surely not
    even the smallest effect of interest beyond the threshold.
equivalent: it is within +- margin. It is refuted where it is surely outside.
not-below: it is above -margin. It is refuted where it is surely below.

Each rule is two one-sided tests, one that it holds and one that it is refuted, at 2.5% each: the
level of a bound of the 95% interval. The p of a verdict counts both sides, so 0.05 is its limit.

All parts of a claim must hold: the p of "holds" is the largest of its parts (an intersection-union
test, which needs no correction). One refuted part refutes it: the p of "does not hold" is the
smallest of its parts, times their number. A claim enters the family of its table or figure once,
for each of the two, and both are corrected there by Holm's method.
"""

from collections.abc import Sequence
from typing import Literal

from delta.report.claims.measures import Measurement
from delta.report.paper.claims import Claim
from delta.stats.one_sided import RulePs, rule_ps

ClaimVerdict = Literal["holds", "does not hold", "cannot tell", "not testable here", "not run"]

SIGNIFICANCE = 0.05


def part_ps(claim: Claim, measured: Measurement) -> RulePs:
    """Return the one-sided p-values of one part."""
    return rule_ps(
        claim.rule,
        measured.tested,
        threshold=claim.threshold,
        margin=claim.margin,
        # Without a sure gain, a share of it is no size: only the sign can refute.
        smallest_effect=claim.smallest if measured.bound_unit else 0.0,
    )


def claim_ps(parts: Sequence[RulePs]) -> RulePs:
    """Return the one-sided p-values of a claim, all of whose parts must hold.

    `parts` are different tests. Raises ValueError for none.
    """
    if not parts:
        raise ValueError("a claim without a measured part has no test")
    holds = max(part.holds for part in parts)
    return RulePs(holds, min(1.0, len(parts) * min(part.refuted for part in parts)))


def two_sided(p: float) -> float:
    """Return a one-sided p as the p of a verdict, which counts both sides."""
    return min(1.0, 2 * p)


def verdict(ps: RulePs) -> ClaimVerdict:
    """Return the verdict of corrected one-sided p-values.

    A value may be surely above the threshold and surely less than the smallest effect beyond it.
    Then what the claim says is true, so it holds.
    """
    if two_sided(ps.holds) < SIGNIFICANCE:
        return "holds"
    return "does not hold" if two_sided(ps.refuted) < SIGNIFICANCE else "cannot tell"
