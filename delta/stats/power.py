"""Compute the smallest difference that a comparison sees, and the sizes that see a given one.

A contrast of configurations on B benchmarks of N questions with K answers each, trained with n
seeds, has the variance

    1 / B² Σ (s (1 - s) (w a / n + v b) / K + (a + b) t² / 2) / N  +  a σ² / n

a and b are the sums of the squared weights of trained and untrained configurations (two policies: 2
and 0; a policy and its base: 1 and 1), s is the score, w the share of s (1 - s) that lies between
answers to one question of trainings that differ in the seed, v that of an untrained model (0 where
its answers are greedy), t the standard deviation over questions of what a training changed, and σ
that between seeds. A difference is "seen" if a two-sided test at 5% finds it 4 times in 5.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from scipy import special

from delta.stats.contrasts import Contrast
from delta.stats.intervals import t95

POWER = 0.8
MAX_DF = 1_000.0  # beyond it Student's t is normal to 3 digits, and SciPy's search less exact
MAX_SIZE = 10_000_000  # of a search; nobody asks as many questions


class Benchmark(NamedTuple):
    """A benchmark as a profile asks it."""

    score: float  # fraction
    questions: int
    samples: int


class Noise(NamedTuple):
    """What varies in a comparison, measured or assumed."""

    within: float  # w, 0 to 1
    within_untrained: float  # v, 0 to 1
    change: float  # t, a fraction
    seed_sd: float  # σ, a fraction
    seed_df: float  # degrees of freedom of σ: those of the pooled variance; infinite: known


class SquaredWeights(NamedTuple):
    """Sums of the squared weights of a contrast's configurations."""

    trained: float
    untrained: float


TWO_POLICIES, POLICY_AND_BASE = SquaredWeights(2, 0), SquaredWeights(1, 1)
# Ours: nobody measured w, v and t for the paper's models, and it trained one seed.
ASSUMED = Noise(within=0.4, within_untrained=0.4, change=0.05, seed_sd=0.0, seed_df=math.inf)
# Of greedy answers: measured on the laptop profile (docs/lab-notebook.md, 2026-12-01).
GREEDY = Noise(within=0.12, within_untrained=0.0, change=0.26, seed_sd=0.0, seed_df=math.inf)


class Error(NamedTuple):
    """The error of a contrast: its variance in squared fractions, and the seeds' part of it."""

    variance: float
    by_seeds: float
    df: float


def standard_errors_seen(df: float) -> float:
    """Return how many standard errors a difference must have to be seen."""
    df = min(df, MAX_DF)
    return float(special.nctdtrinc(df, 1 - POWER, t95(df)))


def error(
    benchmarks: Sequence[Benchmark], noise: Noise, seeds: int, weights: SquaredWeights
) -> Error:
    """Return the error of a contrast of the mean over benchmarks."""
    by_questions = by_answers = squares = 0.0
    for score, questions, samples in benchmarks:
        share = 1 / len(benchmarks) ** 2 / questions
        answer = share * score * (1 - score) / samples
        change = (weights.trained + weights.untrained) * noise.change**2 / 2
        trained = answer * noise.within * weights.trained / seeds
        untrained = answer * noise.within_untrained * weights.untrained
        variance = trained + untrained + share * change
        by_answers += answer * noise.within
        by_questions += variance
        squares += variance**2 / max(1, questions - 1)
    by_seeds = weights.trained * noise.seed_sd**2 / seeds
    # Between seeds lies the variance of the sampled answers too; see delta.stats.seeds.
    between = weights.trained * (noise.seed_sd**2 + by_answers) / seeds
    squares += between**2 / noise.seed_df
    variance = by_questions + by_seeds
    return Error(variance, by_seeds, max(1.0, variance**2 / squares) if squares else math.inf)


def half_width(
    benchmarks: Sequence[Benchmark], noise: Noise, seeds: int, weights: SquaredWeights
) -> float:
    """Return the half-width of the 95% interval, a fraction."""
    variance, _, df = error(benchmarks, noise, seeds, weights)
    return math.sqrt(variance) * t95(df)


def smallest_difference(
    benchmarks: Sequence[Benchmark], noise: Noise, seeds: int, weights: SquaredWeights
) -> float:
    """Return the smallest difference that is seen, a fraction."""
    variance, _, df = error(benchmarks, noise, seeds, weights)
    return math.sqrt(variance) * standard_errors_seen(df)


def questions_for(
    difference: float,
    benchmarks: Sequence[Benchmark],
    noise: Noise,
    seeds: int,
    weights: SquaredWeights,
) -> list[int] | None:
    """Return the questions of each benchmark, in today's proportions, that see a difference.

    They are never fewer than 2. None where no number does: seeds alone vary too much.
    """
    total = sum(benchmark.questions for benchmark in benchmarks)

    def scaled(size: int) -> list[Benchmark]:
        return [
            benchmark._replace(questions=max(2, math.ceil(benchmark.questions * size / total)))
            for benchmark in benchmarks
        ]

    size = _smallest(
        lambda size: smallest_difference(scaled(size), noise, seeds, weights) <= difference
    )
    return None if size is None else [benchmark.questions for benchmark in scaled(size)]


def samples_for(
    difference: float,
    benchmarks: Sequence[Benchmark],
    noise: Noise,
    seeds: int,
    weights: SquaredWeights,
) -> int | None:
    """Return the answers to each question that see a difference; None where no number does."""

    def asked(samples: int) -> list[Benchmark]:
        return [benchmark._replace(samples=samples) for benchmark in benchmarks]

    return _smallest(
        lambda samples: smallest_difference(asked(samples), noise, seeds, weights) <= difference
    )


def seeds_for(
    difference: float, benchmarks: Sequence[Benchmark], noise: Noise, weights: SquaredWeights
) -> int | None:
    """Return the seeds of each trained configuration that see a difference; None: no number."""
    return _smallest(
        lambda seeds: smallest_difference(benchmarks, noise, seeds, weights) <= difference
    )


def seen_by(contrast: Contrast) -> float:
    """Return the smallest difference that a measured contrast would see, a fraction."""
    distribution = contrast.tested()
    return distribution.standard_error * standard_errors_seen(distribution.df)


def times_the_questions(contrast: Contrast, difference: float) -> float | None:
    """Return how many times its questions a measured contrast needs to see a difference.

    None where no number does: seeds alone vary too much.
    """
    distribution = contrast.tested()
    by_seeds = contrast.seed_error**2
    left = (difference / standard_errors_seen(distribution.df)) ** 2 - by_seeds
    return (distribution.standard_error**2 - by_seeds) / left if left > 0 else None


def times_the_seeds(contrast: Contrast, difference: float) -> float | None:
    """Return how many times its seeds a measured contrast needs to see a difference.

    Its questions' error is taken as it is. None where no number of seeds does.
    """
    distribution = contrast.tested()
    by_seeds = contrast.seed_error**2
    by_questions = distribution.standard_error**2 - by_seeds
    left = (difference / standard_errors_seen(distribution.df)) ** 2 - by_questions
    return by_seeds / left if left > 0 else None


def _smallest(is_enough: Callable[[int], bool]) -> int | None:
    """Return the smallest whole number that is enough; None if it is above MAX_SIZE."""
    high = 1
    while not is_enough(high):
        high *= 2
        if high > MAX_SIZE:
            return None
    low = high // 2  # not enough, or 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
