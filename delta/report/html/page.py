"""Render the report page from the templates beside this file.

To rearrange the page, edit templates/page.html; each of its sections is a template of its own.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from markupsafe import Markup

from delta.core.types import Row
from delta.report import templates
from delta.report.certificate import DIFFERENCES
from delta.report.claims import formatting
from delta.report.claims.decide import ClaimResult
from delta.report.context import CONTROLS, ReportContext, Run
from delta.report.experiment_table import (
    ROUNDED_AWAY,
    TRAINING_COLUMNS,
    ExperimentRow,
    experiment_rows,
)
from delta.report.html.filters import FILTERS
from delta.report.html.inline_svg import inline
from delta.report.paper.numbers import read_numbers
from delta.report.training_facts import MIN_SERVED

FOLDER = Path(__file__).parent
DECIDED = ("holds", "does not hold")


def render(
    context: ReportContext,
    rows: dict[str, list[Row]],
    results: list[ClaimResult],
    titles: dict[str, str],
    figure_folder: Path,
) -> str:
    """Return the page. `titles` are those of the figures that were drawn in `figure_folder`."""
    environment = templates.load(FOLDER / "templates")
    environment.filters |= FILTERS
    return environment.get_template("page.html").render(
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        context=context,
        this_run=context.this_run,
        run=context.this_run.summary,
        own=tables(context, context.own_experiments()),
        of_paper=tables(context, filter(context.has_result, context.paper_experiments())),
        rows=rows,
        results=results,
        decided=[result for result in results if result.verdict in DECIDED],
        undecided=[result for result in results if result.verdict not in DECIDED],
        printed=read_numbers(),
        symbols=formatting.SYMBOLS,
        verdict_counts=Counter(result.verdict for result in results),
        controls=CONTROLS,
        certificate_columns=DIFFERENCES.values(),
        columns_of_training=TRAINING_COLUMNS,
        rounded_away=ROUNDED_AWAY,
        min_served=f"{MIN_SERVED:.0%}",
        titles=titles,
        picture=lambda name, label: inline(figure_folder / f"{name}.svg", label),
    )


def tables(context: ReportContext, experiments: Iterable[str]) -> dict[str, list[ExperimentRow]]:
    """Return the rows of each experiment's table."""
    base = Run({}, context.models[context.base])
    return {
        name: experiment_rows(
            context.runs(name), context.seed_axes.get(name, []), context.groups, base
        )
        for name in experiments
    }
