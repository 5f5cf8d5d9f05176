"""When a claim holds. Every verdict on the page comes from here; none is given by hand.

above, below: the difference has that sign, and p < 0.05 after Holm's correction over all such
    tests of the same table or figure. Significant the other way: does not hold.
equivalent: the whole 95 % interval is within ± margin. Wholly outside: does not hold.
not-below: the whole interval is above − margin. Wholly under it: does not hold.

Else cannot tell: more questions could decide it either way. A claim of several parts holds where
all hold, and does not where one does not. What lacks a run, a rating or a benchmark is not run.
"""

from typing import Literal

from delta.report.claims.measures import Estimate

Verdict = Literal["holds", "does not hold", "cannot tell", "not run"]
Rule = Literal["above", "below", "equivalent", "not-below"]

LEVEL = 0.05
TESTS: tuple[Rule, ...] = ("above", "below")  # these need a p; the others only their interval


def decided(rule: Rule, found: Estimate, p: float | None, than: float, margin: float) -> Verdict:
    """`p` is the corrected one; None for the rules that need none."""
    match rule:
        case "above" | "below":
            if p is None or p >= LEVEL:
                return "cannot tell"
            return "holds" if (found.value > than) == (rule == "above") else "does not hold"
        case "equivalent":
            return _inside(
                holds=-margin <= found.low and found.high <= margin,
                fails=found.low > margin or found.high < -margin,
            )
        case "not-below":
            return _inside(holds=found.low >= -margin, fails=found.high < -margin)


def _inside(*, holds: bool, fails: bool) -> Verdict:
    return "holds" if holds else "does not hold" if fails else "cannot tell"


def combine_verdicts(parts: list[Verdict]) -> Verdict:
    """The verdict on a claim from those on its parts."""
    worst: tuple[Verdict, ...] = ("does not hold", "not run", "cannot tell", "holds")
    return next((verdict for verdict in worst if verdict in parts), "not run")


def margin_inside_rule(rule: Rule, found: Estimate, than: float, margin: float) -> float:
    """How far the interval is inside what the rule asks for; the least shows the weakest part."""
    match rule:
        case "above":
            return found.low - than
        case "below":
            return than - found.high
        case "equivalent":
            return margin - max(abs(found.low), abs(found.high))
        case "not-below":
            return found.low + margin
