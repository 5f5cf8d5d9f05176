"""The table of claims: what the paper says, ours, and whether it holds here."""

from collections import Counter

from delta.report.claims import ClaimPart, ClaimResult
from delta.report.claims.format import (
    SYMBOLS,
    UNITS,
    format_interval,
    format_result,
    humanize,
    signed,
)
from delta.report.claims.rules import Rule
from delta.report.html.markup import Html, folded, tag

COLUMNS = ("Claim", "Where", "Paper", "Here, 95 % interval", "Verdict")
RULES: dict[Rule, str] = {
    "above": "holds where ours is above {than:g} and p < 0.05 after Holm's correction",
    "below": "holds where ours is below {than:g} and p < 0.05 after Holm's correction",
    "equivalent": "holds where the whole interval is within ± {margin:g}",
    "not-below": "holds where the whole interval is above −{margin:g}",
}


def counted(decided: list[ClaimResult]) -> Html:
    numbers = Counter(one.verdict for one in decided)
    return tag(
        "ul",
        *[
            tag("li", f"{symbol} {verdict}: {numbers[verdict]}", class_=_class(verdict))
            for verdict, symbol in SYMBOLS.items()
        ],
        class_="counts",
    )


def table(decided: list[ClaimResult], caption: str) -> Html:
    """On a phone each claim is a card; the roles keep it a table for a screen reader."""
    head = [tag("th", name, scope="col", role="columnheader") for name in COLUMNS]
    inner = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *head, role="row"), role="rowgroup"),
        tag("tbody", *[_row(one) for one in decided], role="rowgroup"),
        role="table",
    )
    return tag("div", inner, class_="claims")


def _row(one: ClaimResult) -> Html:
    claim = one.claim
    cells = (claim.where, claim.printed, _here(one))
    verdict = f"{SYMBOLS[one.verdict]} {one.verdict}"
    return tag(
        "tr",
        tag("th", claim.statement, scope="row", role="rowheader"),
        *[
            tag("td", cell, data_name=name, role="cell")
            for name, cell in zip(COLUMNS[1:], cells, strict=False)
        ],
        tag(
            "td", verdict, class_=f"verdict {_class(one.verdict)}", data_name="Verdict", role="cell"
        ),
        id=f"claim-{claim.id}",
        role="row",
    )


def _class(verdict: str) -> str:
    return verdict.replace(" ", "-")


def _here(one: ClaimResult) -> Html:
    claim = one.claim
    rule = RULES[claim.rule].format(than=claim.than, margin=claim.margin)
    parts = [tag("li", _part(part, one)) for part in one.parts]
    return folded(
        format_result(one),
        tag("p", f"{rule} ({UNITS[claim.unit]}).", class_="note"),
        tag("ul", *parts),
    )


def _part(part: ClaimPart, one: ClaimResult) -> str:
    label = f"{humanize(part.label)}: " if part.label else ""
    if part.found is None:
        return f"{label}not run: {part.why}"
    text = f"{label}{format_interval(part.found, one.claim)}"
    if part.p is not None:
        text += f", p {_p(part.p)}"
    text += f": {part.verdict}"
    if part.paper is not None:
        inside = part.found.low <= part.paper <= part.found.high
        sign = "" if one.claim.unit == "percent" else "+"
        printed = signed(part.paper, sign, 2)
        text += f"; the paper's {printed} is {'inside' if inside else 'outside'} our interval"
    return text


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
