"""Draw all figures of the page."""

from pathlib import Path

import polars as pl

from delta.core.types import Row
from delta.report.context import ReportContext
from delta.report.figures import accuracy, deltas, further_figures, paper, this_run, training


def draw_all(
    context: ReportContext,
    rows: dict[str, list[Row]],
    selected: pl.DataFrame,
    curves: pl.DataFrame,
    folder: Path,
) -> dict[str, str]:
    """Draw every figure that has data; return their titles by name, in the order of the page.

    `rows` are those of data.build_rows, `curves` those of training.read_curves.
    """
    run = context.this_run.summary
    titles = {this_run.NAME: "What the preference pairs taught"}
    this_run.draw(run, folder)
    titles[accuracy.NAME] = "Scores on every benchmark"
    accuracy.draw(run.scores, run.base, folder)
    titles[training.NAME] = "Training"
    training.draw(curves, folder)
    if counted := deltas.count_deltas(selected):
        titles[deltas.NAME] = "Deltas of the pairs"
        deltas.draw(counted, folder)
    titles |= paper.draw_all(rows, context.base, folder)
    return titles | further_figures.draw_all(rows, context.base, folder)
