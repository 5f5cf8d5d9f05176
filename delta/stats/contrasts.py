"""Compare runs by a linear contrast of their scores on the same questions.

A difference of two runs, a trend over ordered runs, a difference between two sets of runs and an
interaction are all contrasts; only the weights differ.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from delta.stats.intervals import t95
from delta.stats.one_sided import StudentT

Weights = Sequence[float]  # one per run
BETTER, WORSE, CANNOT_TELL = "better", "worse", "cannot tell"  # verdicts


class CorrectCounts(NamedTuple):
    """Correct answers of several runs on one benchmark: same questions, same order."""

    correct: ArrayLike  # run x question: number of correct samples
    samples: int  # answers to each question


class Term(NamedTuple):
    """One benchmark's part of a contrast. The weights sum to zero."""

    answers: CorrectCounts
    weights: Weights


class Contrast(NamedTuple):
    """A weighted sum of scores, in their unit, with its 95% interval."""

    value: float
    low: float
    high: float
    p: float  # two-sided; below 0.05 exactly where the interval leaves out 0
    distribution: StudentT | None = None  # None where it was read from a file
    seed_error: float = 0.0  # the standard error by other seeds, a part of the distribution's

    def p_above(self, bound: float) -> float:
        """Return the one-sided p of "the value is at most `bound`"."""
        return self.tested().p_above(bound)

    def p_below(self, bound: float) -> float:
        """Return the one-sided p of "the value is at least `bound`"."""
        return self.tested().p_below(bound)

    def tested(self) -> StudentT:
        """Return the distribution. Raises ValueError where there is none."""
        if self.distribution is None:
            raise ValueError("a contrast without its distribution cannot be tested")
        return self.distribution


def verdict(difference: Contrast) -> str:
    """Return "better" where the 95% interval is above 0, "worse" below, else "cannot tell"."""
    if difference.low > 0:
        return BETTER
    return WORSE if difference.high < 0 else CANNOT_TELL


def format_difference(difference: Contrast) -> str:
    """Return "+value [low, high]" in points."""
    # Adding 0.0 makes -0.0 positive: "-0.0" would be read as a loss.
    value, low, high = (round(100 * number, 1) + 0.0 for number in difference[:3])
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


class Estimate(NamedTuple):
    """An estimated contrast and its error."""

    value: float
    shrunken: float  # with one pseudo-answer a run, half correct
    variance: float  # of `shrunken`
    df: float
    maximum: float  # the largest possible value


def contrast(terms: Sequence[Term]) -> Contrast:
    """Return the sum of the terms with a 95% interval and a two-sided p for "the sum is 0".

    No two terms may share questions: runs on the same questions belong in one term.

    This is a t-test of per-question contrasts, so runs are paired by question. One pseudo-answer is
    added to every benchmark, half for and half against. Without it the interval has zero width
    where no question differs between the runs, and is too narrow where few do. With one
    pseudo-answer each way (Bonett and Price 2012) it is too wide. `bench.coverage` measures this.
    """
    return to_contrast(combine(terms))


def to_contrast(estimate: Estimate) -> Contrast:
    """Return interval and p of an estimate by Student's t."""
    value, shrunken, maximum = estimate.value, estimate.shrunken, estimate.maximum
    distribution = StudentT(shrunken, math.sqrt(estimate.variance), estimate.df)
    half_width = distribution.standard_error * t95(estimate.df)
    # Shrinking must not push a bound past the value, nor the half-width past a possible score.
    low = min(value, max(-maximum, shrunken - half_width))
    high = max(value, min(maximum, shrunken + half_width))
    p = min(1.0, 2 * min(distribution.p_above(0.0), distribution.p_below(0.0)))
    return Contrast(value, low, high, p, distribution)


def combine(terms: Sequence[Term]) -> Estimate:
    """Return the sum of independent terms and its error."""
    if not terms:
        raise ValueError("a contrast needs at least one benchmark")
    parts = [_estimate(term) for term in terms]
    variance = math.fsum(part.variance for part in parts)
    # Welch and Satterthwaite: the degrees of freedom of a sum of estimated variances.
    squares = math.fsum(part.variance**2 / part.df for part in parts)
    return Estimate(
        value=math.fsum(part.value for part in parts),
        shrunken=math.fsum(part.shrunken for part in parts),
        variance=variance,
        df=variance**2 / squares if squares > 0 else 1,
        maximum=math.fsum(part.maximum for part in parts),
    )


def _estimate(term: Term) -> Estimate:
    correct = np.asarray(term.answers.correct, dtype=np.float64)
    weights = np.asarray(term.weights, dtype=np.float64)
    samples = term.answers.samples
    _check(correct, weights, samples)
    by_question = weights @ correct / samples
    num = by_question.size
    size = num + 1 / samples  # the pseudo-answer is 1 / samples of a question
    # Between two runs its contrast is +1 or -1; between means of many runs it is less.
    squares = float(by_question @ by_question) + float(weights @ weights) / 2 / samples
    shrunken = float(by_question.sum()) / size
    return Estimate(
        value=float(by_question.sum()) / num,
        shrunken=shrunken,
        variance=(squares / size - shrunken**2) / (size - 1),
        df=max(1, num - 1),
        maximum=float(weights[weights > 0].sum()),
    )


def _check(correct: NDArray[np.float64], weights: NDArray[np.float64], samples: int) -> None:
    if correct.ndim != 2 or correct.shape[0] != weights.size or correct.shape[1] == 0:
        raise ValueError(
            f"answers of shape {correct.shape} and {weights.size} weights; "
            "expected a row and a weight for each run, and at least one question"
        )
    if not np.all((correct >= 0) & (correct <= samples)):  # NaN, from None, is neither
        raise ValueError(f"correct answers to a question are not all within 0 to {samples}")
    if abs(weights.sum()) > 1e-9:
        raise ValueError(f"weights sum to {weights.sum():g}; expected 0")


def group_terms(benchmarks: Sequence[CorrectCounts], weights: Weights) -> list[Term]:
    """Return the same contrast on every benchmark of a group, for its mean (paper, 3.1.2)."""
    return [
        Term(answers, [weight / len(benchmarks) for weight in weights]) for answers in benchmarks
    ]


def trend_weights(positions: Sequence[float]) -> list[float]:
    """Return weights for the least-squares slope: the rise of the score per unit of `positions`."""
    mean = math.fsum(positions) / len(positions)
    deviations = [position - mean for position in positions]
    squares = math.fsum(deviation * deviation for deviation in deviations)
    if squares == 0:
        raise ValueError(f"positions {list(positions)}; expected at least two different ones")
    return [deviation / squares for deviation in deviations]
