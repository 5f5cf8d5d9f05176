"""Scores and contrasts of configurations that were trained with several seeds.

Questions and seeds are the sampling units. A configuration has a CorrectCounts for each benchmark.
Its rows are the seeds, in the same order for all benchmarks.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from delta.stats import contrasts
from delta.stats.contrasts import Contrast, CorrectCounts, ErrorTerm, Term, Weights
from delta.stats.intervals import effective_n_wilson, group_mean, t95


class SeedScore(NamedTuple):
    """A mean over benchmarks and seeds, a fraction, with its 95% interval."""

    value: float
    low: float
    high: float
    seeds: int
    between_seeds: float | None  # standard deviation of the seeds' scores; None with one seed


def score_with_seeds(benchmarks: Sequence[CorrectCounts]) -> SeedScore:
    """Return the mean over benchmarks and seeds with a 95% interval for other questions and seeds.

    The half-widths for questions (as in `group_mean`) and for seeds (Student's t) are added by
    their squares. With one seed the interval is for other questions alone.
    """
    intervals = []
    for answers in benchmarks:
        table = _proportions(answers)
        means = table.mean(axis=0).tolist()
        intervals.append(effective_n_wilson(means, table.size * answers.samples))
    mean = group_mean(intervals)
    seeds, sd, adjusted = _between_seeds(benchmarks, _equal_weights(benchmarks))
    if adjusted is None:
        return SeedScore(*mean, seeds, None)
    half_width = t95(seeds - 1) * adjusted / math.sqrt(seeds)
    low = mean.value - math.hypot(mean.value - mean.low, half_width)
    high = mean.value + math.hypot(mean.high - mean.value, half_width)
    return SeedScore(mean.value, max(0.0, low), min(1.0, high), seeds, sd)


def contrast_with_seeds(
    configurations: Sequence[Sequence[CorrectCounts]],
    weights: Weights,
    benchmark_weights: Sequence[float] | None = None,
) -> Contrast:
    """Return the contrast of a group's mean between configurations of one or more seeds each.

    `weights` has one for each configuration: [1, -1] compares the first with the second. All have
    the same benchmarks in the same order. A configuration with one seed adds no variance for
    seeds: right for a base model, which was not trained, and too narrow for a policy.

    Without `benchmark_weights` the benchmarks have equal weights, which sum to 1. Weights
    1/3 1/3 1/3 -1/2 -1/2 compare two groups: the trend in STEM less the trend in math.
    """
    if benchmark_weights is None:
        benchmark_weights = _equal_weights(configurations[0])
    estimate = contrasts.combine(_terms(configurations, weights, benchmark_weights))
    errors = [ErrorTerm(math.sqrt(estimate.variance), estimate.df)]
    for answers, weight in zip(configurations, weights, strict=True):
        seeds, _, adjusted = _between_seeds(answers, benchmark_weights)
        if adjusted is not None:
            errors.append(ErrorTerm(abs(weight) * adjusted / math.sqrt(seeds), seeds - 1))
    return contrasts.to_contrast(estimate, errors)


def _equal_weights(benchmarks: Sequence[CorrectCounts]) -> list[float]:
    return [1 / len(benchmarks)] * len(benchmarks)


def _terms(
    configurations: Sequence[Sequence[CorrectCounts]],
    weights: Weights,
    benchmark_weights: Sequence[float],
) -> list[Term]:
    """Return a term for each benchmark. A configuration's weight is divided among its seeds."""
    terms = []
    for factor, *answers in zip(benchmark_weights, *configurations, strict=True):
        if len({counts.samples for counts in answers}) > 1:
            raise ValueError("a benchmark has different numbers of samples a question")
        tables = [np.asarray(counts.correct) for counts in answers]
        row_weights = [
            factor * weight / len(table)
            for weight, table in zip(weights, tables, strict=True)
            for _ in table
        ]
        terms.append(Term(CorrectCounts(np.vstack(tables), answers[0].samples), row_weights))
    return terms


def _between_seeds(
    benchmarks: Sequence[CorrectCounts], weights: Sequence[float]
) -> tuple[int, float | None, float | None]:
    """Return the number of seeds, their scores' standard deviation, and the adjusted one.

    Seeds that trained equal models would still differ, because each samples its own answers. The
    adjusted deviation leaves out that variance, which is the residual one.
    """
    tables = [_proportions(answers) for answers in benchmarks]
    if len({len(table) for table in tables}) != 1:
        raise ValueError("benchmarks have different numbers of seeds; expected the same in all")
    seeds = len(tables[0])
    if seeds == 1:
        return 1, None, None
    weighted = list(zip(weights, tables, strict=True))
    scores = np.sum([weight * table.mean(axis=1) for weight, table in weighted], axis=0)
    variance = float(scores.var(ddof=1))
    residual = math.fsum(weight**2 * _residual_variance(table) for weight, table in weighted)
    return seeds, math.sqrt(variance), math.sqrt(max(0.0, variance - residual))


def _residual_variance(table: NDArray[np.float64]) -> float:
    """Return the variance of one seed's score by its own answers (two-way analysis of variance)."""
    seeds, questions = table.shape
    if questions == 1:
        return 0.0
    residual = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    return float((residual * residual).sum() / (seeds - 1) / (questions - 1) / questions)


def _proportions(answers: CorrectCounts) -> NDArray[np.float64]:
    """Return the proportions of correct samples: seed x question."""
    return np.atleast_2d(np.asarray(answers.correct, dtype=np.float64)) / answers.samples
