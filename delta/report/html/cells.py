"""What stands in the cells of the tables, and the list of verdicts beside a table or figure."""

from typing import Any

from delta.core.types import Row
from delta.report.claims import ClaimResult
from delta.report.claims.format import SYMBOLS, humanize
from delta.report.html.markup import Html, tag


def verdicts(family: str, decided: list[ClaimResult]) -> list[Html]:
    own = [one for one in decided if one.claim.family == family]
    items = [
        tag(
            "li",
            tag(
                "span",
                f"{SYMBOLS[one.verdict]} {one.verdict}: ",
                class_=f"verdict {one.verdict.replace(' ', '-')}",
            ),
            tag("a", one.claim.statement, href=f"#claim-{one.claim.id}"),
        )
        for one in own
    ]
    return [tag("ul", *items)] if items else []


def interval(row: Row | None, name: str, digits: int) -> str | None:
    """None where there is no such row, "not run" where its number is not there."""
    if row is None:
        return None
    if row[name] is None:
        return row.get("why") or "not run"
    text = f"{row[name]:.{digits}f}"
    if row.get("low") is not None:
        text += f" [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"
    return text.replace("-", "−")


def score(score: dict[str, Any] | None) -> str | None:
    if score is None:
        return None
    percent = {name: 100 * score[name] for name in ("value", "low", "high")}
    return interval(percent, "value", 1)


def beside(ours: str | None, paper: float | None, digits: int) -> Html | str | None:
    """The paper's value under ours, where it is of the same thing."""
    if paper is None:
        return ours
    return Html(tag("div", ours) + tag("div", f"paper: {paper:.{digits}f}", class_="paper"))


def word(content: Any) -> Any:
    return humanize(content) if isinstance(content, str) else content
