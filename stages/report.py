"""Write scores, claims, tables, figures and the page to report/, and plots to metrics/plots/."""

import json

import polars as pl

from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.files import atomic_folder, write_counts, write_text
from delta.core.schemas import SELECTED
from delta.core.types import Row
from delta.evaluation.config import EvaluatedModelParams, baselines
from delta.experiments.grid import ExperimentParams
from delta.report import collect, paper, scores, this_run
from delta.report.claims import formatting
from delta.report.claims.decide import decide
from delta.report.figures import data, policy, style
from delta.report.figures import paper as paper_figures
from delta.report.html import page


def main(console: Console) -> None:
    content = params.read_all()
    models = params.load_sections("evaluation.models", EvaluatedModelParams)
    experiments = params.load_sections("experiments", ExperimentParams)
    (base,) = baselines(models, content["train"]["base"])
    by_model = scores.read_scores(models, content["benchmarks"])
    table = this_run.to_markdown(this_run.read_summary().comparisons)
    write_text(paths.SCORES, table + "\n")
    draw_policy(by_model)
    context = collect.build_context(content, experiments, base, by_model)
    rows = data.build_rows(context)
    paper_figures.draw_all(rows, paths.REPORT)
    write_rows_and_plots(rows)
    results = decide(paper.claims(), context)
    claims = formatting.to_metrics(results)
    write_counts(paths.REPORT / "claims.json", claims)
    write_text(paths.REPORT / "claims.md", formatting.to_markdown(results) + "\n")
    write_text(paths.REPORT / "index.html", page.render(context, rows, results, paths.REPORT))
    decided = [
        f"{number} {verdict.replace('_', ' ')}" for verdict, number in claims["claims_that"].items()
    ]
    console.finish(f"claims of the paper: {', '.join(decided)}; {paths.REPORT / 'index.html'}")


def draw_policy(by_model: scores.Scores) -> None:
    """Draw the scores of all models, the training curves and the deltas."""
    selected = tables.read(paths.SELECTED, SELECTED)
    policy.draw_accuracy(scores.score_rows(by_model), paths.REPORT)
    policy.draw_training(pl.read_csv(paths.TRAINING_HISTORY, separator="\t"), paths.REPORT)
    policy.draw_deltas(scores.delta_rows(selected), paths.REPORT)


def write_rows_and_plots(rows: dict[str, list[Row]]) -> None:
    """Write the rows of every table and figure, and the page's figures with their titles."""
    for name, content in rows.items():
        text = json.dumps(content, indent=1) + "\n"
        write_text(paths.REPORT / "rows" / f"{name}.json", text)
    with atomic_folder(paths.PLOTS) as folder:
        for name, figure in paper_figures.FIGURES.items():
            if rows[name]:
                titled = style.add_title(paths.REPORT / f"{name}.svg", figure.title)
                write_text(folder / f"{name}.svg", titled)


if __name__ == "__main__":
    run(main)
