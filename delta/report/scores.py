"""Compare the scores of the policy with those of the base, and build the rows of their figures."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from delta.core.files import read_json
from delta.core.types import Row

Scores = dict[str, dict[str, dict[str, Any]]]  # model → benchmark → value, low, high, ...

VERDICTS = {1: "better", 0: "cannot tell", -1: "worse"}


def read_scores(files: dict[str, Path], benchmarks: Iterable[str]) -> Scores:
    """Read the score file of each model.

    Raise InputError where a file is missing or damaged, or lacks a benchmark.
    """
    names = list(benchmarks)
    return {
        model: {benchmark: read_json(path, model, benchmark) for benchmark in names}
        for model, path in files.items()
    }


def accuracy_rows(scores: Scores) -> list[Row]:
    """Return a row for each model and benchmark, in percent."""
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


def delta_rows(selected: pl.DataFrame) -> list[Row]:
    """Count the pairs by dimension and delta, rounded to one decimal."""
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
    """Return the policy's score minus the base's for each benchmark.

    `intervals_apart` compares the 95% intervals: 1 if the policy's is wholly above, -1 if wholly
    below, 0 if they overlap.
    """
    differences = {}
    for benchmark, after in scores[policy].items():
        before = scores[base][benchmark]
        apart = int(after["low"] > before["high"]) - int(after["high"] < before["low"])
        differences[benchmark] = {
            "gain": round(after["value"] - before["value"], 6),
            "intervals_apart": apart,
        }
    return differences


def to_markdown(scores: Scores, base: str, policy: str) -> str:
    """Return a table with both scores, their intervals and a verdict for each benchmark."""
    lines = [
        "| benchmark | group | base | policy | policy against base |",
        "|---|---|---|---|---|",
    ]
    for benchmark, difference in score_differences(scores, base, policy).items():
        before, after = scores[base][benchmark], scores[policy][benchmark]
        verdict = VERDICTS[difference["intervals_apart"]]
        cells = (benchmark, after["group"], format_score(before), format_score(after), verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def format_score(score: dict[str, Any]) -> str:
    """Return "value% [low, high]"."""
    value, low, high = (100 * score[name] for name in ("value", "low", "high"))
    return f"{value:.1f}% [{low:.1f}, {high:.1f}]"
