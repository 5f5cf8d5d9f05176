"""When a claim holds. Every verdict of the report follows from these rules; none is set by hand.

above, below: the quantity is on that side of the threshold, and p < 0.05 after Holm's correction
    over all such tests of the same table or figure. Significant on the other side: does not hold.
equivalent: the whole 95% interval is within +- margin. Wholly outside: does not hold.
not-below: the whole interval is above -margin. Wholly below: does not hold.

Otherwise we cannot tell: more questions could decide it either way. A claim with several parts
holds if all of them hold, and does not hold if one does not. It is not run if a run, a rating or a
benchmark is missing.
"""

from typing import Literal

from delta.report.claims.measures import Measurement
from delta.report.paper.claims import Claim, Rule

ClaimVerdict = Literal["holds", "does not hold", "cannot tell", "not run"]

SIGNIFICANCE = 0.05
TESTED_RULES: tuple[Rule, ...] = ("above", "below")  # they need a p; the others only the interval


def apply_rule(claim: Claim, measured: Measurement, p: float | None) -> ClaimVerdict:
    """Return the verdict on one part. `p` is corrected; None for the rules that need none."""
    if claim.rule in TESTED_RULES:
        if p is None or p >= SIGNIFICANCE:
            return "cannot tell"
        return "holds" if _distance(claim, measured.value) > 0 else "does not hold"
    if distance_inside(claim, measured) >= 0:
        return "holds"
    outside = measured.low > claim.margin or measured.high < -claim.margin
    return "does not hold" if outside else "cannot tell"


def distance_inside(claim: Claim, measured: Measurement) -> float:
    """Return how far the whole interval is inside what the rule asks for; negative if it is not."""
    return min(_distance(claim, measured.low), _distance(claim, measured.high))


def _distance(claim: Claim, value: float) -> float:
    """Return how far a value is inside what the rule asks for."""
    match claim.rule:
        case "above":
            return value - claim.threshold
        case "below":
            return claim.threshold - value
        case "equivalent":
            return claim.margin - abs(value)
        case "not-below":
            return value + claim.margin


def combine_verdicts(parts: list[ClaimVerdict]) -> ClaimVerdict:
    """Return the verdict on a claim from those on its parts."""
    order: tuple[ClaimVerdict, ...] = ("does not hold", "not run", "cannot tell", "holds")
    return next((verdict for verdict in order if verdict in parts), "not run")
