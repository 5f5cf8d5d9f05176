"""Decided claims in words: for the README, the page and `dvc metrics`."""

from collections import Counter
from typing import Any

from delta.report.claims import ClaimResult
from delta.report.claims.measures import Estimate
from delta.report.claims.rules import Verdict
from delta.report.paper import Claim

SYMBOLS: dict[Verdict, str] = {
    "holds": "✓",
    "does not hold": "✗",
    "cannot tell": "?",
    "not run": "–",
}
NUMBERS: dict[Verdict, int] = {"holds": 1, "does not hold": -1, "cannot tell": 0}
UNITS = {"points": "points", "percent": "%", "delta": "rating points"}


def metrics(decided: list[ClaimResult]) -> dict[str, Any]:
    """For `dvc metrics`: verdict 1 holds, −1 does not, 0 cannot tell. What was not run has none."""
    each = {}
    for one in decided:
        if one.verdict == "not run" or one.weakest is None or one.weakest.found is None:
            continue
        value, low, high, _ = one.weakest.found
        figures = {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)}
        each[one.claim.id] = figures | {"verdict": NUMBERS[one.verdict]}
    counted = Counter(one.verdict for one in decided)
    return {
        "claims": each,
        "claims_that": {name.replace(" ", "_"): counted[name] for name in SYMBOLS},
    }


def table(decided: list[ClaimResult]) -> str:
    """The table of the README: claim, paper, here with its interval, holds?"""
    lines = ["| claim | paper | here, 95 % interval | holds? |", "|---|---|---|---|"]
    for one in decided:
        claim = one.claim
        cells = (
            claim.statement,
            claim.printed or "–",
            format_result(one),
            f"{SYMBOLS[one.verdict]} {one.verdict}",
        )
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines)


def format_result(one: ClaimResult) -> str:
    """Ours in a few words: the weakest part, and how many parts hold."""
    weakest = one.weakest
    if weakest is None or weakest.found is None:
        return next((part.why for part in one.parts if part.why), "not run")
    text = f"{format_interval(weakest.found, one.claim)} {UNITS[one.claim.unit]}"
    if len(one.parts) == 1:
        return text
    held = sum(part.verdict == "holds" for part in one.parts)
    lost = sum(part.found is None for part in one.parts)
    missing = f", {lost} not run" if lost else ""
    return f"{held} of {len(one.parts)} hold{missing}; weakest ({humanize(weakest.label)}) {text}"


def format_interval(found: Estimate, claim: Claim) -> str:
    sign = "" if claim.unit == "percent" else "+"
    digits = 2 if claim.unit == "delta" else 1
    texts = [signed(number, sign, digits) for number in found[:3]]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"


def signed(number: float, sign: str, digits: int) -> str:
    text = f"{number:{sign}.{digits}f}".replace("-", "−")
    return text if float(text.replace("−", "-")) else f"{0:.{digits}f}"


def humanize(name: str) -> str:
    return name.replace("_", " ")
