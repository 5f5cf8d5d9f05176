"""report: scores side by side, the plots and the pictures → metrics/…, report/"""

import json

import polars as pl

from delta import figures, outputs, params, report, tables
from delta.console import Console, run
from delta.records import SELECTED


def main(console: Console, _argv: list[str]) -> None:
    models, benchmarks = params.value("evaluation.models"), params.value("benchmarks")
    base = params.value("train.base")
    scores = report.read_scores({(m, b): outputs.score(m, b) for m in models for b in benchmarks})
    selected = tables.read(outputs.SELECTED, SELECTED)
    history = pl.read_csv(outputs.HISTORY, separator="\t")
    accuracy, deltas = report.accuracy_rows(scores), report.delta_rows(selected)
    plots = outputs.METRICS / "plots"
    outputs.write_text(plots / "accuracy.json", json.dumps(accuracy, indent=1) + "\n")
    outputs.write_text(plots / "deltas.json", json.dumps(deltas, indent=1) + "\n")
    figures.accuracy(accuracy, outputs.REPORT)
    figures.training(history, outputs.REPORT)
    figures.deltas(deltas, outputs.REPORT)
    gains = report.gains(scores, base, outputs.POLICY)
    outputs.write_counts(outputs.METRICS / "gains.json", gains, "policy_minus_base")
    outputs.write_text(outputs.SCORES, report.table(scores, base, outputs.POLICY) + "\n")
    console.say(report.table(scores, base, outputs.POLICY))


if __name__ == "__main__":
    run(main)
