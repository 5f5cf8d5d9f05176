"""Write the page, claims, tables and figures to report/, and the figures to metrics/plots/."""

import json
from typing import Any

import polars as pl

from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.files import atomic_folder, write_counts, write_text
from delta.core.schemas import SELECTED
from delta.core.types import Row
from delta.evaluation.config import EvaluatedModelParams, baselines
from delta.experiments.grid import ExperimentParams
from delta.report import collect, scores, this_run
from delta.report.claims import formatting
from delta.report.claims.decide import decide
from delta.report.context import ReportContext
from delta.report.figures import data, draw, svg, training
from delta.report.html import page
from delta.report.paper.claims import read_claims


def main(console: Console) -> None:
    content = params.read_all()
    models = params.load_sections("evaluation.models", EvaluatedModelParams)
    experiments = params.load_sections("experiments", ExperimentParams)
    (base,) = baselines(models, content["train"]["base"])
    by_model = scores.read_scores(models, content["benchmarks"])
    context = collect.build_context(content, experiments, base, by_model)
    table = this_run.to_markdown(context.this_run.summary.comparisons)
    write_text(paths.SCORES, table + "\n")
    rows = data.build_rows(context)
    titles = draw_figures(context, rows, content["train"])
    write_rows_and_plots(rows, titles)
    results = decide(read_claims(), context)
    write_counts(paths.REPORT / "claims.json", formatting.to_metrics(results))
    write_text(paths.REPORT / "claims.md", formatting.to_markdown(results) + "\n")
    text = page.render(context, rows, results, titles, paths.FIGURES)
    write_text(paths.REPORT / "index.html", text)
    counted = formatting.count_line(results)
    console.finish(f"claims of the paper: {counted}; {paths.REPORT / 'index.html'}")


def draw_figures(
    context: ReportContext, rows: dict[str, list[Row]], train: dict[str, Any]
) -> dict[str, str]:
    """Draw the figures that have data and return their titles by name."""
    selected = tables.read(paths.SELECTED, SELECTED)
    with atomic_folder(paths.FIGURES) as folder:
        return draw.draw_all(context, rows, selected, training_curves(train), folder)


def training_curves(train: dict[str, Any]) -> pl.DataFrame:
    """Read the curves of the training with these parameters."""
    beta = train[train["method"]].get("beta")
    return training.read_curves(paths.TRAINING_HISTORY, paths.HELD_OUT, beta)


def write_rows_and_plots(rows: dict[str, list[Row]], titles: dict[str, str]) -> None:
    """Write the rows of every table and figure, and the page's figures with their titles."""
    with atomic_folder(paths.REPORT / "rows") as folder:
        for name, content in rows.items():
            write_text(folder / f"{name}.json", json.dumps(content, indent=1) + "\n")
    with atomic_folder(paths.PLOTS) as folder:
        for name, title in titles.items():
            write_text(folder / f"{name}.svg", svg.add_title(paths.FIGURES / f"{name}.svg", title))


if __name__ == "__main__":
    run(main)
