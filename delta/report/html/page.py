"""Render the report page from the templates beside this file.

To rearrange the page, edit templates/page.html; each of its sections is a template of its own.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from delta.core.types import Row
from delta.report import paper, templates
from delta.report.claims import formatting
from delta.report.claims.decide import ClaimResult
from delta.report.context import ReportContext
from delta.report.figures.data import CONTROLS
from delta.report.figures.paper import FIGURES
from delta.report.html.inline_svg import inline

FOLDER = Path(__file__).parent
# Columns of a figure's rows that explain its number: they stand to its right.
EXPLANATIONS = ("base", "chance", "chance_low", "chance_high", "spearman")
HIDDEN = ("low", "high", "why", "spearman_low", "spearman_high")


def render(
    context: ReportContext,
    rows: dict[str, list[Row]],
    results: list[ClaimResult],
    figure_folder: Path,
) -> str:
    """Return the page; the figures of `rows` must have been drawn in `figure_folder`."""
    environment = templates.load(FOLDER / "templates")
    environment.filters |= {
        "claim_interval": formatting.format_interval,
        "claim_number": formatting.format_number,
        "claim_result": formatting.format_result,
        "columns": columns_with_values,
        "figure_columns": figure_columns,
        "humanize": formatting.humanize,
        "index_by": index_by,
        "interval": row_interval,
        "score": score_interval,
        "value": format_value,
    }
    return environment.get_template("page.html").render(
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        context=context,
        rows=rows,
        results=results,
        printed=paper.numbers(),
        symbols=formatting.SYMBOLS,
        units=formatting.UNITS,
        verdict_counts=Counter(result.verdict for result in results),
        controls=CONTROLS,
        figures=FIGURES,
        picture=lambda name, label: inline(figure_folder / f"{name}.svg", label),
    )


def row_interval(row: Row | None, column: str, digits: int) -> str | None:
    """Return "value [low, high]"; the reason if the value is missing, None if the row is."""
    if row is None:
        return None
    if row[column] is None:
        return row.get("why") or "not run"
    text = f"{row[column]:.{digits}f}"
    if row.get("low") is not None:
        text += f" [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"
    return text.replace("-", "−")


def score_interval(score: dict[str, Any] | None) -> str | None:
    """Return a score in percent with its interval; None if there is no score."""
    if score is None:
        return None
    return row_interval({name: 100 * score[name] for name in ("value", "low", "high")}, "value", 1)


def format_value(value: Any) -> Any:
    """Return a value as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    if isinstance(value, int):
        return f"{value:,}"
    return formatting.humanize(value)


def columns_with_values(rows: Sequence[Row]) -> list[str]:
    """Return the columns in which at least one row has a value."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if any(row.get(name) is not None for row in rows)]


def figure_columns(rows: Sequence[Row], value: str) -> tuple[list[str], list[str]]:
    """Return the columns that identify a row of a figure, and those that explain its `value`."""
    hidden = {value, *HIDDEN, *EXPLANATIONS, "pairs" if value == "overlap" else ""}
    keys = [name for name in rows[0] if name not in hidden]
    return keys, [name for name in EXPLANATIONS if name in rows[0]]


def index_by(rows: Sequence[Row], *columns: str) -> dict[tuple[Any, ...], Row]:
    """Return the rows by their values in `columns`."""
    return {tuple(row[name] for name in columns): row for row in rows}
