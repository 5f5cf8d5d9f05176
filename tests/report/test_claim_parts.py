"""A part of a claim is corrected for all claims of its family, whatever place its claim has."""

import math

from delta.report.claims.decide import ClaimPart, ClaimResult, decide_family
from delta.report.claims.measures import Measurement
from delta.stats.one_sided import RulePs, StudentT
from tests.helpers.toy_results import weak_pairs_claim


def part(label: str, value: float, holds: float) -> ClaimPart:
    tested = StudentT(value, 1.0, math.inf)
    measured = Measurement(value, value - 2, value + 2, 0.0, 3.0, tested)
    return ClaimPart(label, None, measured, RulePs(holds, 1 - holds))


def family(holds: list[list[float]]) -> list[ClaimResult]:
    """Return claims whose parts have these one-sided p of "holds"."""
    results = []
    for number, ps in enumerate(holds):
        parts = [part(str(n), 10.0 * number + n, p) for n, p in enumerate(ps)]
        results.append(ClaimResult(weak_pairs_claim(f"c{number}", "weak"), parts))
    decide_family(results)
    return results


def test_the_last_claim_of_a_family_of_ten_lends_its_parts_no_small_correction() -> None:
    # Holm's factor of the claim with the largest p is 1; 0.02 times ten claims is 0.2.
    *others, last = family([[0.0001]] * 9 + [[0.9, 0.02]])
    assert {result.verdict for result in others} == {"holds"}
    assert last.verdict == "cannot tell"
    assert [each.verdict for each in last.parts] == ["cannot tell", "cannot tell"]


def test_a_sure_part_of_a_claim_that_cannot_be_told_holds() -> None:
    (claim,) = family([[0.5, 0.0001]])
    assert claim.verdict == "cannot tell"
    assert [each.verdict for each in claim.parts] == ["cannot tell", "holds"]


def test_the_part_that_refutes_a_claim_is_refuted() -> None:
    (claim,) = family([[0.9999, 0.5]])  # p of "does not hold": 0.0001 times two parts
    assert claim.verdict == "does not hold"
    assert [each.verdict for each in claim.parts] == ["does not hold", "cannot tell"]
