"""Compare the scores of the policy with those of the base, and build the rows of their figures."""

from collections.abc import Iterable
from typing import Any

import polars as pl

from delta.core import paths
from delta.core.files import read_json
from delta.core.schemas import DELTA_PREFIX, delta_columns
from delta.core.types import Row

Scores = dict[str, dict[str, dict[str, Any]]]  # model → benchmark → value, low, high, ...


def read_scores(models: Iterable[str], benchmarks: Iterable[str]) -> Scores:
    """Read the scores of each model.

    Raises InputError where a file is missing or damaged, or lacks a benchmark.
    """
    names = list(benchmarks)
    return {
        model: {name: read_json(paths.score(model), model, name) for name in names}
        for model in models
    }


def score_rows(scores: Scores) -> list[Row]:
    """Return a row for each model and benchmark, in percent."""
    return [
        {
            "model": model,
            "benchmark": benchmark,
            "score": percent(score["value"]),
            "low": percent(score["low"]),
            "high": percent(score["high"]),
        }
        for model, by_benchmark in scores.items()
        for benchmark, score in by_benchmark.items()
    ]


def percent(fraction: float) -> float:
    """Return a fraction in percent, rounded to two decimals."""
    return round(100 * fraction, 2)


def delta_rows(selected: pl.DataFrame) -> list[Row]:
    """Count the pairs by dimension and delta, rounded to one decimal."""
    return (
        selected.select(delta_columns(selected).values())
        .unpivot(variable_name="dimension", value_name="delta")
        .with_columns(pl.col("dimension").str.strip_prefix(DELTA_PREFIX), pl.col("delta").round(1))
        .drop_nulls()
        .group_by("dimension", "delta")
        .agg(pairs=pl.len())
        .sort("dimension", "delta")
        .to_dicts()
    )


def compare_intervals(before: Row, after: Row) -> str:
    """Return whether the 95% interval of `after` is wholly above or below that of `before`."""
    if after["low"] > before["high"]:
        return "better"
    return "worse" if after["high"] < before["low"] else "cannot tell"


def to_markdown(scores: Scores, base: str, policy: str) -> str:
    """Return a table with both scores, their intervals and a verdict for each benchmark."""
    lines = [
        "| benchmark | group | base | policy | policy against base |",
        "|---|---|---|---|---|",
    ]
    for benchmark, after in scores[policy].items():
        before = scores[base][benchmark]
        verdict = compare_intervals(before, after)
        cells = (benchmark, after["group"], format_score(before), format_score(after), verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def format_score(score: dict[str, Any]) -> str:
    """Return "value% [low, high]"."""
    value, low, high = (100 * score[name] for name in ("value", "low", "high"))
    return f"{value:.1f}% [{low:.1f}, {high:.1f}]"
