"""Several trainings of one configuration that differ in the seed: questions and seeds are chance.

Their answers are Answers whose rows are seeds, one for each benchmark, in the same order of seeds.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from delta.stats import contrasts
from delta.stats.contrasts import Contrast, CorrectCounts, Term, Weights
from delta.stats.intervals import Interval, effective_n_wilson, group_mean


class SeedScore(NamedTuple):
    value: float
    low: float
    high: float
    seeds: int
    between_seeds: float | None  # standard deviation of the seeds' scores; None with one seed
    due_to_seeds: float | None  # what remains of it without the chance of single answers


def score(benchmarks: Sequence[CorrectCounts]) -> SeedScore:
    """Mean over benchmarks and seeds with a 95 % interval for other questions and other seeds.

    The half width for questions (as of a group's mean) and the one for seeds (Student's t of so
    few seeds) are added by their squares. With one seed the interval is that of questions alone.
    """
    mean = group_mean([_over_questions(answers) for answers in benchmarks])
    seeds, spread, due = _between(benchmarks, _equal(benchmarks))
    if spread is None or due is None:
        return SeedScore(*mean, seeds, None, None)
    half = float(special.stdtrit(seeds - 1, 0.975)) * due / math.sqrt(seeds)
    low = mean.value - math.hypot(mean.value - mean.low, half)
    high = mean.value + math.hypot(mean.high - mean.value, half)
    return SeedScore(mean.value, max(0.0, low), min(1.0, high), seeds, spread, due)


def contrast(configurations: Sequence[Sequence[CorrectCounts]], weights: Weights) -> Contrast:
    """As contrasts.contrast of a group's mean, between configurations of one or more seeds each.

    `weights` has one for each configuration: [1, -1] sets the first against the second. All have
    the same benchmarks in the same order. Nothing is added for the seeds of a configuration that
    has only one: right for a base model, which was not trained, and too narrow for a policy.
    """
    return contrast_across(configurations, weights, _equal(configurations[0]))


def contrast_across(
    configurations: Sequence[Sequence[CorrectCounts]], weights: Weights, benchmarks: Sequence[float]
) -> Contrast:
    """The same where `benchmarks` has a weight for each benchmark instead of a plain mean.

    Weights 1/3 1/3 1/3 -1/2 -1/2 set one group against another: a trend in STEM less that in math.
    """
    estimate = contrasts.combine(_terms(configurations, weights, benchmarks))
    errors = [contrasts.ErrorTerm(math.sqrt(estimate.variance), estimate.df)]
    for answers, weight in zip(configurations, weights, strict=True):
        seeds, _, due = _between(answers, benchmarks)
        if due is not None:
            errors.append(contrasts.ErrorTerm(abs(weight) * due / math.sqrt(seeds), seeds - 1))
    return contrasts.to_contrast(estimate, errors)


def _equal(benchmarks: Sequence[CorrectCounts]) -> list[float]:
    return [1 / len(benchmarks)] * len(benchmarks)


def _terms(
    configurations: Sequence[Sequence[CorrectCounts]], weights: Weights, benchmarks: Sequence[float]
) -> list[Term]:
    """Each benchmark with the rows of all configurations; a weight is shared among its seeds."""
    terms = []
    for part, *same in zip(benchmarks, *configurations, strict=True):
        if len({answers.samples for answers in same}) > 1:
            raise ValueError("a benchmark has different numbers of samples a question")
        tables = [np.asarray(answers.correct) for answers in same]
        shared = [
            part * weight / len(table)
            for weight, table in zip(weights, tables, strict=True)
            for _ in table
        ]
        terms.append(Term(CorrectCounts(np.vstack(tables), same[0].samples), shared))
    return terms


def _over_questions(answers: CorrectCounts) -> Interval:
    shares = _shares(answers)
    return effective_n_wilson(shares.mean(axis=0).tolist(), shares.size * answers.samples)


def _between(
    benchmarks: Sequence[CorrectCounts], parts: Sequence[float]
) -> tuple[int, float | None, float | None]:
    """Number of seeds, standard deviation of their scores, and what of it is due to the seeds.

    Seeds would differ a little even were they alike, since each answers anew: that part is the
    variance left over when a question's and a seed's own mean are taken away.
    """
    tables = [_shares(answers) for answers in benchmarks]
    if len({len(table) for table in tables}) != 1:
        raise ValueError("benchmarks with different numbers of seeds; allowed: the same in all")
    seeds = len(tables[0])
    if seeds == 1:
        return 1, None, None
    scores = np.sum([p * t.mean(axis=1) for p, t in zip(parts, tables, strict=True)], axis=0)
    variance = float(scores.var(ddof=1))
    by_answers = math.fsum(p * p * _left_over(t) for p, t in zip(parts, tables, strict=True))
    return seeds, math.sqrt(variance), math.sqrt(max(0.0, variance - by_answers))


def _left_over(shares: NDArray[np.float64]) -> float:
    """Variance of one seed's score that its own answers explain (two-way analysis of variance)."""
    num_seeds, num = shares.shape
    if num == 1:
        return 0.0
    own = shares - shares.mean(axis=0) - shares.mean(axis=1, keepdims=True) + shares.mean()
    return float((own * own).sum() / (num_seeds - 1) / (num - 1) / num)


def _shares(answers: CorrectCounts) -> NDArray[np.float64]:
    return np.atleast_2d(np.asarray(answers.correct, dtype=np.float64)) / answers.samples
