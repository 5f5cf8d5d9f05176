"""Read the scores of models, and build the rows of their figures."""

from collections.abc import Iterable
from typing import Any

from delta.core import paths
from delta.core.files import read_json
from delta.core.types import Row
from delta.evaluation.cut_answers import cut_percent
from delta.stats.intervals import Interval

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
    """Return a row for each model and benchmark, in percent; `cut`: of its answers."""
    return [
        {
            "model": model,
            "benchmark": benchmark,
            "score": percent(score["value"]),
            "low": percent(score["low"]),
            "high": percent(score["high"]),
            "cut": cut_percent(score),
        }
        for model, by_benchmark in scores.items()
        for benchmark, score in by_benchmark.items()
    ]


def interval_of(score: dict[str, Any]) -> Interval:
    """Return the interval of a score in fractions."""
    return Interval(*(score[key] for key in Interval._fields))


def percent(fraction: float) -> float:
    """Return a fraction in percent, rounded to two decimals."""
    return round(100 * fraction, 2)
