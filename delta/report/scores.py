"""The scores of a run side by side, and the rows behind its plots."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from delta.core.files import read_json

Scores = dict[str, dict[str, dict[str, Any]]]  # model → benchmark → score, low, high, …


def read_scores(files: dict[str, Path], benchmarks: Iterable[str]) -> Scores:
    """Read the score files, one a model.

    Raises InputError where a file is missing or damaged, or lacks a benchmark.
    """
    names = list(benchmarks)
    return {
        model: {benchmark: read_json(path, model, benchmark) for benchmark in names}
        for model, path in files.items()
    }


def accuracy_rows(scores: Scores) -> list[dict[str, Any]]:
    """One row for each model and benchmark, in percent."""
    return [
        {
            "benchmark": benchmark,
            "model": model,
            "accuracy": round(100 * score["value"], 2),
            "low": round(100 * score["low"], 2),
            "high": round(100 * score["high"], 2),
        }
        for model, by_benchmark in scores.items()
        for benchmark, score in by_benchmark.items()
    ]


def delta_rows(selected: pl.DataFrame) -> list[dict[str, Any]]:
    """How many pairs have which delta, for each dimension; deltas rounded to the tenth."""
    columns = [name for name in selected.columns if name.startswith("delta_")]
    return (
        selected.select(columns)
        .unpivot(variable_name="dimension", value_name="delta")
        .with_columns(pl.col("dimension").str.strip_prefix("delta_"), pl.col("delta").round(1))
        .drop_nulls()
        .group_by("dimension", "delta")
        .agg(pairs=pl.len())
        .sort("dimension", "delta")
        .to_dicts()
    )


def score_differences(scores: Scores, base: str, policy: str) -> dict[str, dict[str, Any]]:
    """For each benchmark the policy's score minus the base's, and whether the 95 % intervals are
    apart: +1 policy above, −1 below, 0 they overlap."""
    found = {}
    for benchmark, after in scores[policy].items():
        before = scores[base][benchmark]
        apart = int(after["low"] > before["high"]) - int(after["high"] < before["low"])
        found[benchmark] = {
            "gain": round(after["value"] - before["value"], 6),
            "intervals_apart": apart,
        }
    return found


def table(scores: Scores, base: str, policy: str) -> str:
    """Markdown: a line for each benchmark with both scores, intervals and what holds."""
    verdicts = {1: "better", 0: "cannot tell", -1: "worse"}
    gained = score_differences(scores, base, policy)
    lines = [
        "| benchmark | group | base | policy | policy against base |",
        "|---|---|---|---|---|",
    ]
    for benchmark, after in scores[policy].items():
        before = scores[base][benchmark]
        verdict = verdicts[gained[benchmark]["intervals_apart"]]
        lines.append(
            f"| {benchmark} | {after['group']} | {percent(before)} | {percent(after)} | {verdict} |"
        )
    return "\n".join(lines)


def percent(score: dict[str, Any]) -> str:
    return f"{100 * score['value']:.1f} % [{100 * score['low']:.1f}, {100 * score['high']:.1f}]"
