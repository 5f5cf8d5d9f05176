"""report: scores, claims, tables and figures, the page → metrics/…, report/"""

import json
from typing import Any

import polars as pl

from delta import claims, figures, gathering, outputs, page, paper, params, report, tables
from delta.claims import text
from delta.console import Console, run
from delta.evaluated import EvaluatedParams, bases
from delta.experiments import ExperimentParams
from delta.figures import rows
from delta.records import SELECTED

PLOTS = outputs.METRICS / "plots"


def main(console: Console, _argv: list[str]) -> None:
    content = params.read_all()
    models = params.sections("evaluation.models", EvaluatedParams)
    declared = params.sections("experiments", ExperimentParams)
    (base,) = bases(models, content["train"]["base"])
    files = {name: outputs.score(name) for name in models}
    scores = report.read_scores(files, list(content["benchmarks"]))
    this_run(scores, base)
    the_paper(content, declared, base, scores)
    console.say(report.table(scores, base, outputs.POLICY))


def this_run(scores: report.Scores, base: str) -> None:
    """The policy of this workspace against its base."""
    selected = tables.read(outputs.SELECTED, SELECTED)
    accuracy, deltas = report.accuracy_rows(scores), report.delta_rows(selected)
    write_rows("accuracy", accuracy)
    write_rows("deltas", deltas)
    figures.accuracy(accuracy, outputs.REPORT)
    figures.training(pl.read_csv(outputs.HISTORY, separator="\t"), outputs.REPORT)
    figures.deltas(deltas, outputs.REPORT)
    gains = report.gains(scores, base, outputs.POLICY)
    outputs.write_counts(outputs.METRICS / "gains.json", gains, "policy_minus_base")
    outputs.write_text(outputs.SCORES, report.table(scores, base, outputs.POLICY) + "\n")


def the_paper(
    content: dict[str, Any],
    declared: dict[str, ExperimentParams],
    base: str,
    scores: report.Scores,
) -> None:
    """Its tables, figures and claims, from this workspace and the results of experiments."""
    world = gathering.world(content, declared, base, scores)
    found = rows.of(world)
    decided = claims.decide(paper.claims(), world)
    for name, of_figure in found.items():
        write_rows(name, of_figure)
    outputs.write_counts(outputs.METRICS / "claims.json", text.metrics(decided))
    outputs.write_text(outputs.REPORT / "claims.md", text.table(decided) + "\n")
    page.draw(found, outputs.REPORT)
    outputs.write_text(
        outputs.REPORT / "index.html", page.html(world, found, decided, outputs.REPORT)
    )


def write_rows(name: str, content: list[dict[str, Any]]) -> None:
    outputs.write_text(PLOTS / f"{name}.json", json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    run(main)
