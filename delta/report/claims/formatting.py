"""Put decided claims into words: for the README, the page and `dvc metrics`."""

from collections import Counter
from typing import Any

from delta.evaluation.cut_answers import marked, notes
from delta.report.claims.decide import ClaimResult
from delta.report.claims.measures import Measurement
from delta.report.claims.rules import ClaimVerdict
from delta.report.paper.claims import Claim

SYMBOLS: dict[ClaimVerdict, str] = {
    "holds": "✓",
    "does not hold": "✗",
    "cannot tell": "?",
    "not run": "–",
}
VERDICT_NUMBERS: dict[ClaimVerdict, int] = {"holds": 1, "does not hold": -1, "cannot tell": 0}
UNITS = {"points": "points", "percent": "%", "delta": "rating points"}


def to_metrics(results: list[ClaimResult]) -> dict[str, Any]:
    """Return the claims that were measured, by id, and how many have each verdict.

    The verdict is 1 (holds), -1 (does not hold) or 0 (cannot tell).
    """
    claims = {}
    for result in results:
        weakest = result.weakest
        if result.verdict != "not run" and weakest is not None and weakest.measured is not None:
            value, low, high = (round(number, 4) for number in weakest.measured[:3])
            verdict = VERDICT_NUMBERS[result.verdict]
            claims[result.claim.id] = {"value": value, "low": low, "high": high, "verdict": verdict}
    counts = Counter(result.verdict for result in results)
    return {
        "claims": claims,
        "claims_that": {verdict.replace(" ", "_"): counts[verdict] for verdict in SYMBOLS},
    }


def to_markdown(results: list[ClaimResult]) -> str:
    """Return a table with a row for each claim, and the lines that explain its marks."""
    lines = ["| claim | paper | here, 95% interval | holds? |", "|---|---|---|---|"]
    for result in results:
        cells = (
            result.claim.statement,
            result.claim.paper_text or "–",
            format_result(result),
            f"{SYMBOLS[result.verdict]} {result.verdict}",
        )
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n\n".join(["\n".join(lines), *notes(result.cut for result in results)])


def format_result(result: ClaimResult) -> str:
    """Return the weakest part of a claim, and how many of its parts hold.

    It is marked where a part rests on cut answers.
    """
    weakest = result.weakest
    if weakest is None or weakest.measured is None:
        return next((part.reason for part in result.parts if part.reason), "not run")
    text, unit = format_interval(weakest.measured, result.claim), UNITS[result.claim.unit]
    text = text.replace(" ", "% ", 1) if unit == "%" else f"{text} {unit}"
    if len(result.parts) == 1:
        return marked(text, result.cut)
    holding = sum(part.verdict == "holds" for part in result.parts)
    missing = sum(part.measured is None for part in result.parts)
    not_run = f", {missing} not run" if missing else ""
    label = humanize(weakest.label)
    text = f"{holding} of {len(result.parts)} hold{not_run}; weakest ({label}) {text}"
    return marked(text, result.cut)


def format_interval(measured: Measurement, claim: Claim) -> str:
    """Return "value [low, high]" with as many digits as the claim's unit needs."""
    digits = 2 if claim.unit == "delta" else 1
    value, low, high = (format_number(number, claim, digits) for number in measured[:3])
    return f"{value} [{low}, {high}]"


def format_number(number: float, claim: Claim, digits: int) -> str:
    """Return a number with its sign; percentages have no plus, and zero has no sign."""
    sign = "" if claim.unit == "percent" else "+"
    text = f"{number:{sign}.{digits}f}"
    return text.replace("-", "−") if float(text) else f"{0:.{digits}f}"


def humanize(value: Any) -> Any:
    """Return a string as words, and any other value as it is."""
    return value.replace("_", " ") if isinstance(value, str) else value
