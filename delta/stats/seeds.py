"""Score and contrast configurations that were trained with several seeds.

Questions and seeds are the sampling units. A configuration has a CorrectCounts for each benchmark.
Its rows are the seeds, in the same order for all benchmarks.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from delta.stats import contrasts
from delta.stats.contrasts import Contrast, CorrectCounts, Estimate, Term, Weights
from delta.stats.intervals import effective_n_wilson, group_mean, t95


class SeedScore(NamedTuple):
    """A mean over benchmarks and seeds, a fraction, with its 95% interval."""

    value: float
    low: float
    high: float
    seeds: int
    between_seeds: float | None  # standard deviation of the seeds' scores; None with one seed


class SeedVariance(NamedTuple):
    """The variance between seeds of a score, pooled over configurations, in squared fractions."""

    between: float  # without the variance by sampled answers, which the questions' error has
    total: float  # with it
    df: int  # seeds less configurations


def score_with_seeds(
    benchmarks: Sequence[CorrectCounts], seed_variance: SeedVariance | None = None
) -> SeedScore:
    """Return the mean over benchmarks and seeds with a 95% interval for other questions and seeds.

    The half-widths for questions (as in `group_mean`) and for seeds (Student's t) are added by
    their squares. `seed_variance` is that of `pool_seed_variance`. Where it is None, that of these
    seeds is taken, and with one seed the interval is for other questions alone.
    """
    intervals = []
    for answers in benchmarks:
        table = _proportions(answers)
        means = table.mean(axis=0).tolist()
        intervals.append(effective_n_wilson(means, table.size * answers.samples))
    mean = group_mean(intervals)
    seeds, variance, residual = _seed_variances(benchmarks, _equal_weights(benchmarks))
    if seed_variance is None:
        if seeds == 1:
            return SeedScore(*mean, seeds, None)
        seed_variance = SeedVariance(max(0.0, variance - residual), variance, seeds - 1)
    half_width = t95(seed_variance.df) * math.sqrt(seed_variance.between / seeds)
    between = None if seeds == 1 else math.sqrt(variance)
    low = mean.value - math.hypot(mean.value - mean.low, half_width)
    high = mean.value + math.hypot(mean.high - mean.value, half_width)
    return SeedScore(mean.value, max(0.0, low), min(1.0, high), seeds, between)


def pool_seed_variance(
    configurations: Sequence[Sequence[CorrectCounts]],
    benchmark_weights: Sequence[float] | None = None,
) -> SeedVariance | None:
    """Return the variance between seeds, pooled over all configurations of several seeds.

    It is that of the score that a contrast uses: the sum of the benchmarks by `benchmark_weights`,
    without which they have equal weights. Training is assumed to vary equally in all
    configurations. None where no configuration has two seeds.
    """
    between, total, df = 0.0, 0.0, 0
    for benchmarks in configurations:
        weights = benchmark_weights or _equal_weights(benchmarks)
        seeds, variance, residual = _seed_variances(benchmarks, weights)
        between += (seeds - 1) * (variance - residual)
        total += (seeds - 1) * variance
        df += seeds - 1
    return SeedVariance(max(0.0, between / df), total / df, df) if df else None


def contrast_with_seeds(
    configurations: Sequence[Sequence[CorrectCounts]],
    weights: Weights,
    benchmark_weights: Sequence[float] | None = None,
    *,
    trained: Sequence[bool] | None = None,
    seed_variance: SeedVariance | None = None,
) -> Contrast:
    """Return the contrast of a group's mean between configurations of one or more seeds each.

    `weights` has one for each configuration: [1, -1] compares the first with the second. All have
    the same benchmarks in the same order.

    `trained` says which configurations another training would change: not a base model. Those of
    several seeds are taken where it is None. `seed_variance` is that of `pool_seed_variance` with
    the same `benchmark_weights`; where it is None, the configurations at hand are pooled. Every
    trained configuration has it, also one of a single seed.

    Without `benchmark_weights` the benchmarks have equal weights, which sum to 1. Weights
    1/3 1/3 1/3 -1/2 -1/2 compare two groups: the trend in STEM less the trend in math.
    """
    if benchmark_weights is None:
        benchmark_weights = _equal_weights(configurations[0])
    estimate = contrasts.combine(_terms(configurations, weights, benchmark_weights))
    if seed_variance is None:
        seed_variance = pool_seed_variance(configurations, benchmark_weights)
    if seed_variance is None:
        return contrasts.to_contrast(estimate)
    seeds = [len(_proportions(benchmarks[0])) for benchmarks in configurations]
    if trained is None:
        trained = [number > 1 for number in seeds]
    factor = math.fsum(
        weight**2 / number
        for weight, number, is_trained in zip(weights, seeds, trained, strict=True)
        if is_trained
    )
    between, total, df = seed_variance
    return add_seed_variance(estimate, [SeedVariance(factor * between, factor * total, df)])


def add_seed_variance(estimate: Estimate, parts: Sequence[SeedVariance]) -> Contrast:
    """Return the contrast of an estimate to whose variance that of seeds is added.

    Each part is from a pool of its own: the pool's variance times the sum of w² / n over the
    trained configurations, of weight w and n seeds. Satterthwaite's degrees of freedom: the error
    of a part is that of its total, from which the variance by sampled answers is subtracted.
    """
    by_seeds = math.fsum(part.between for part in parts)
    variance = estimate.variance + by_seeds
    squares = estimate.variance**2 / estimate.df
    squares += math.fsum(part.total**2 / part.df for part in parts)
    df = max(1.0, variance**2 / squares) if squares > 0 else 1.0
    result = contrasts.to_contrast(estimate._replace(variance=variance, df=df))
    return result._replace(seed_error=math.sqrt(by_seeds))


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


def _seed_variances(
    benchmarks: Sequence[CorrectCounts], weights: Sequence[float]
) -> tuple[int, float, float]:
    """Return the number of seeds, the variance of their scores, and its part by sampled answers.

    Seeds that trained equal models would still differ, because each samples its own answers. Both
    variances are 0 for one seed.
    """
    tables = [_proportions(answers) for answers in benchmarks]
    if len({len(table) for table in tables}) != 1:
        raise ValueError("benchmarks have different numbers of seeds; expected the same in all")
    seeds = len(tables[0])
    if seeds == 1:
        return 1, 0.0, 0.0
    weighted = list(zip(weights, tables, strict=True))
    scores = np.sum([weight * table.mean(axis=1) for weight, table in weighted], axis=0)
    residual = math.fsum(weight**2 * _residual_variance(table) for weight, table in weighted)
    return seeds, float(scores.var(ddof=1)), residual


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
