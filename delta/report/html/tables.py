"""Table 1 and Table 2, the paper's value under ours where it is of the same models."""

from typing import Any

from delta.core.types import Row
from delta.report.claims import ClaimResult
from delta.report.claims.format import humanize
from delta.report.context import ReportContext
from delta.report.html import cells
from delta.report.html.markup import Html, folded, table, tag

# Table 2 prints the model that others are trained from among the rest.
BASE_MARK = " (base)"


def table_1(
    world: ReportContext, rows: list[Row], decided: list[ClaimResult], printed: dict[str, Any]
) -> Html:
    """Mean deltas, and the whole matrix under it."""
    dimensions = list(dict.fromkeys(row["dimension"] for row in rows))
    found = {(row["chosen"], row["dimension"]): row for row in rows}
    theirs = printed["deltas"] if printed["rejected"] == world.rejected else {}
    lines = [
        [
            chosen,
            *[
                cells.beside(
                    cells.interval(found.get((chosen, name)), "delta", 2),
                    theirs.get(chosen, {}).get(name),
                    2,
                )
                for name in dimensions
            ],
        ]
        for chosen in dict.fromkeys(row["chosen"] for row in rows)
    ]
    caption = (
        f"Mean sample-level delta against {world.rejected}, in points of the scale 1 to 5, with "
        "its 95 % interval over problems" + ("; the paper's value under it." if theirs else ".")
    )
    headers = ["chosen", *[humanize(name) for name in dimensions]]
    return tag(
        "section",
        tag("h2", "Table 1: what the judge sees"),
        table(headers, lines, caption) if rows else tag("p", "Nothing was rated."),
        *cells.verdicts("table-1", decided),
        *([folded("Every generator against every other", *_matrix(world))] if rows else []),
        id="table-1",
    )


def table_2(world: ReportContext, decided: list[ClaimResult], printed: dict[str, Any]) -> Html:
    theirs = printed["scores"]
    names = list(world.groups)
    lines = [
        [
            name + (BASE_MARK if name == world.base else ""),
            *[
                cells.beside(
                    cells.score(model.scores.get(benchmark)), theirs.get(name, {}).get(benchmark), 1
                )
                for benchmark in names
            ],
        ]
        for name, model in world.models.items()
    ]
    known = any(name in theirs for name in world.models)
    caption = (
        "Models as they came, the weakest at math first: right answers (%) with the 95 % interval"
        + ("; the paper's value under it." if known else ".")
    )
    headers = ["model", *[f"{name} ({world.groups[name]})" for name in names]]
    return tag(
        "section",
        tag("h2", "Table 2: models off the shelf"),
        table(headers, lines, caption),
        *cells.verdicts("table-2", decided),
        id="table-2",
    )


def _matrix(world: ReportContext) -> list[Html]:
    """A table for each dimension: chosen down, rejected across."""
    found = {(row["dimension"], row["chosen"], row["rejected"]): row for row in world.deltas}
    names = list(dict.fromkeys(row["chosen"] for row in world.deltas))
    return [
        table(
            ["chosen \\ rejected", *names],
            [
                [one, *[cells.interval(found.get((by, one, other)), "delta", 2) for other in names]]
                for one in names
            ],
            f"{humanize(by)}: mean delta with its 95 % interval",
        )
        for by in dict.fromkeys(row["dimension"] for row in world.deltas)
    ]
