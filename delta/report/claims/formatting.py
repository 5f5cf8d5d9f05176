"""Put decided claims into words: for the README, the page and claims.json."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from delta.evaluation.cut_answers import marked, notes
from delta.report.claims.decide import ClaimPart, ClaimResult
from delta.report.claims.measures import Measurement
from delta.report.claims.required_sizes import RequiredSizes
from delta.report.claims.rules import ClaimVerdict
from delta.report.paper.claims import Claim, MeanDelta, TopkOverlap

SYMBOLS: dict[ClaimVerdict, str] = {
    "holds": "✓",
    "does not hold": "✗",
    "cannot tell": "?",
    "not testable here": "∅",
    "not run": "–",
}
COUNTED: dict[ClaimVerdict, str] = {
    "holds": "hold",
    "does not hold": "do not",
    "cannot tell": "cannot tell",
    "not testable here": "not testable here",
    "not run": "not run",
}
VERDICT_NUMBERS: dict[ClaimVerdict, int] = {"holds": 1, "does not hold": -1, "cannot tell": 0}
UNITS = {"points": "points", "percent": "%", "delta": "rating points"}
SAMPLED = {TopkOverlap: "pairs", MeanDelta: "problems"}  # of the other quantities: questions
HEADER = "| claim | paper | here, 95% interval | p | sees | verdict | what would tell, or why not |"


def count_line(results: list[ClaimResult]) -> str:
    """Return how many claims have each verdict, in words."""
    counts = Counter(result.verdict for result in results)
    return ", ".join(f"{counts[verdict]} {words}" for verdict, words in COUNTED.items())


def to_metrics(results: list[ClaimResult]) -> dict[str, Any]:
    """Return the claims that were measured, by id, and how many have each verdict.

    The verdict is 1 (holds), -1 (does not hold) or 0 (cannot tell). `sees` is the smallest
    difference that would be seen. Either of `needs_questions` and `needs_seeds` would tell; both
    together where `needs_both` is true. A claim that cannot be tested here has its reason alone.
    """
    claims: dict[str, dict[str, Any]] = {}
    for result in results:
        weakest, name = result.weakest, result.claim.id
        if result.verdict == "not testable here":
            claims[name] = {"not_testable": "; ".join(result.reasons)}
        elif result.verdict != "not run" and weakest is not None and weakest.measured is not None:
            value, low, high = (round(number, 4) for number in weakest.measured[:3])
            claims[name] = {
                "value": value,
                "low": low,
                "high": high,
                "p": None if result.p is None else float(f"{result.p:.3g}"),
                "sees": round(weakest.measured.sees, 4),
                "verdict": VERDICT_NUMBERS[result.verdict],
            }
            if result.required is not None:
                required = result.required
                questions, seeds = required.both or (required.questions, required.seeds)
                claims[name] |= {"needs_questions": questions, "needs_seeds": seeds}
                claims[name]["needs_both"] = required.both is not None
    counts = Counter(result.verdict for result in results)
    return {
        "claims": claims,
        "claims_that": {verdict.replace(" ", "_"): counts[verdict] for verdict in SYMBOLS},
    }


def to_markdown(results: list[ClaimResult]) -> str:
    """Return the counts, a table with a row for each claim, and the lines that explain its marks.

    sees: the smallest difference that would be found 4 times in 5.
    """
    lines = [HEADER, "|---|---|---|---|---|---|---|"]
    for result in results:
        cells = (
            result.claim.statement,
            result.claim.paper_text or "–",
            format_result(result),
            format_p(result.p),
            format_sees(result),
            f"{SYMBOLS[result.verdict]} {result.verdict}",
            explanation(result) or "–",
        )
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    counted = f"{count_line(results)}."
    return "\n\n".join([counted, "\n".join(lines), *notes(result.cut for result in results)])


def format_result(result: ClaimResult) -> str:
    """Return the part of a claim that decides, and how many of its parts hold.

    It is marked where a part rests on cut answers.
    """
    weakest = result.weakest
    if weakest is None or weakest.measured is None:
        return "–"
    text, unit = format_interval(weakest.measured, result.claim), UNITS[result.claim.unit]
    text = text.replace(" ", "% ", 1) if unit == "%" else f"{text} {unit}"
    if len(result.parts) == 1:
        return marked(text, result.cut)
    tested = result.measured_parts
    holding = sum(part.verdict == "holds" for part in tested)
    which = "refuted by" if result.verdict == "does not hold" else "weakest:"
    rest = [
        f"{number} {verdict}"
        for verdict in ("not testable here", "not run")
        if (number := sum(part.verdict == verdict for part in result.parts))
    ]
    others = f" ({', '.join(rest)})" if rest else ""
    label = humanize(weakest.label)
    return marked(f"{holding} of {len(tested)} hold{others}; {which} {label} {text}", result.cut)


def explanation(result: ClaimResult) -> str:
    """Return what would tell a claim that cannot be told, and why something has no test here."""
    texts = []
    weakest = result.weakest
    if result.required is not None and weakest is not None and weakest.measured is not None:
        sampled = SAMPLED.get(type(result.claim.quantity), "questions")
        sizes = format_required(result.required, weakest.measured, sampled)
        texts.append(f"{sizes} would tell")
    texts += result.reasons
    return "; ".join(texts)


def format_required(required: RequiredSizes, measured: Measurement, sampled: str) -> str:
    """Return the required sizes, in place of those of today. `sampled`: what `questions` counts."""
    units = (
        f"{sampled} in place of {measured.questions:,}",
        f"seeds in place of {measured.seeds:,}",
    )
    if required.both is not None:
        return format_sizes(zip(required.both, units, strict=True), " with ")
    return format_sizes(zip((required.questions, required.seeds), units, strict=True))


def format_sizes(sizes: Iterable[tuple[int | None, str]], separator: str = " or ") -> str:
    """Return the known sizes with their units: "40 questions or 3 seeds"."""
    return separator.join(f"{size:,} {unit}" for size, unit in sizes if size is not None)


def format_sees(result: ClaimResult) -> str:
    """Return the smallest difference that the deciding part would see."""
    weakest = result.weakest
    if weakest is None or weakest.measured is None:
        return "–"
    digits = 2 if result.claim.unit == "delta" else 1
    return f"{weakest.measured.sees:.{digits}f} {UNITS[result.claim.unit]}".replace(" %", "%")


def format_p(p: float | None) -> str:
    """Return a p with two significant digits; a dash where there is none."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def format_margin(claim: Claim, part: ClaimPart | None) -> str:
    """Return the margin or smallest effect of a claim, and its size here if it is a share."""
    share = claim.smallest or claim.margin
    unit = UNITS[claim.unit]
    if claim.gain is None:
        return f"{share:g} {unit}".replace(" %", "%")
    if part is None or part.measured is None or not part.measured.bound_unit:
        return f"{share:.0%} of the gain"
    return f"{share:.0%} of the gain, here {share * part.measured.bound_unit:.1f} {unit}"


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
