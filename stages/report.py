"""report: scores, claims, tables and figures, the page → metrics/…, report/"""

import json
from typing import Any

import polars as pl

from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.files import write_counts, write_text
from delta.core.schemas import SELECTED
from delta.evaluation.models import EvaluatedParams, bases
from delta.experiments.grid import ExperimentParams
from delta.report import claims, collect, figures, html, paper
from delta.report import scores as report
from delta.report.claims import format
from delta.report.figures import data

PLOTS = paths.METRICS / "plots"


def main(console: Console, _argv: list[str]) -> None:
    content = params.read_all()
    models = params.load_sections("evaluation.models", EvaluatedParams)
    declared = params.load_sections("experiments", ExperimentParams)
    (base,) = bases(models, content["train"]["base"])
    files = {name: paths.score(name) for name in models}
    scores = report.read_scores(files, list(content["benchmarks"]))
    this_run(scores, base)
    the_paper(content, declared, base, scores)
    console.print(report.table(scores, base, paths.POLICY))


def this_run(scores: report.Scores, base: str) -> None:
    """The policy of this workspace against its base."""
    selected = tables.read(paths.SELECTED, SELECTED)
    accuracy, deltas = report.accuracy_rows(scores), report.delta_rows(selected)
    write_rows("accuracy", accuracy)
    write_rows("deltas", deltas)
    figures.accuracy(accuracy, paths.REPORT)
    figures.training(pl.read_csv(paths.HISTORY, separator="\t"), paths.REPORT)
    figures.deltas(deltas, paths.REPORT)
    gains = report.score_differences(scores, base, paths.POLICY)
    write_counts(paths.METRICS / "gains.json", gains, "policy_minus_base")
    write_text(paths.SCORES, report.table(scores, base, paths.POLICY) + "\n")


def the_paper(
    content: dict[str, Any],
    declared: dict[str, ExperimentParams],
    base: str,
    scores: report.Scores,
) -> None:
    """Its tables, figures and claims, from this workspace and the results of experiments."""
    world = collect.world(content, declared, base, scores)
    found = data.of(world)
    decided = claims.decide(paper.claims(), world)
    for name, of_figure in found.items():
        write_rows(name, of_figure)
    write_counts(paths.METRICS / "claims.json", format.metrics(decided))
    write_text(paths.REPORT / "claims.md", format.table(decided) + "\n")
    html.draw(found, paths.REPORT)
    write_text(paths.REPORT / "index.html", html.html(world, found, decided, paths.REPORT))


def write_rows(name: str, content: list[dict[str, Any]]) -> None:
    write_text(PLOTS / f"{name}.json", json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    run(main)
