"""The one test between runs: a weighted sum of their scores on the same questions.

A difference of two runs, a trend over ordered runs, a difference between two sets of runs and an
interaction are all contrasts; only the weights differ.
"""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

Weights = Sequence[float]  # one per run
SMALLEST_P = 1e-12  # where it is found by search


class CorrectCounts(NamedTuple):
    """What several runs answered to one benchmark: same questions, same order."""

    correct: ArrayLike  # runs × questions: how many of the samples were right
    samples: int  # answers to each question


class Term(NamedTuple):
    """One benchmark's part in a contrast. Weights sum to zero."""

    answers: CorrectCounts
    weights: Weights


class Contrast(NamedTuple):
    value: float
    low: float
    high: float
    p: float  # two-sided; below 0.05 exactly where the interval leaves out 0


class Estimate(NamedTuple):
    """Before it is an interval and a p; sums of independent ones are made by `total`."""

    value: float
    shrunk: float  # with one more answer a run, half right and half wrong
    variance: float  # of `shrunk`
    df: float
    reach: float  # the largest value there can be


class ErrorTerm(NamedTuple):
    error: float
    df: float


def contrast(terms: Sequence[Term]) -> Contrast:
    """Sum of the terms with a 95 % interval and a two-sided p for "the sum is 0".

    Each term must be of other questions: runs compared on the same ones belong in one term.
    Student's t of the questions' own contrasts, so runs are paired question by question, after
    adding to every benchmark one answer: half of it speaks for, half against. Without it the
    interval is of zero width where no question tells the runs apart, and too narrow where few do;
    with a whole answer each way (Bonett and Price 2012) it is too wide. `bench.coverage` shows it.
    """
    estimate = combine(terms)
    return to_contrast(estimate, [ErrorTerm(math.sqrt(estimate.variance), estimate.df)])


def to_contrast(estimate: Estimate, errors: Sequence[ErrorTerm]) -> Contrast:
    """With an interval whose half width is made of errors with different degrees of freedom."""
    value, shrunk, reach = estimate.value, estimate.shrunk, estimate.reach
    half = _half(errors, 0.05)
    # Shrinking must not push a bound past the value, nor the error past what is possible.
    low, high = min(value, max(-reach, shrunk - half)), max(value, min(reach, shrunk + half))
    return Contrast(value, low, high, _p(shrunk, errors))


def _half(errors: Sequence[ErrorTerm], level: float) -> float:
    """Half widths for each error alone, added by their squares."""
    return math.hypot(*(one.error * -float(special.stdtrit(one.df, level / 2)) for one in errors))


def _p(shrunk: float, errors: Sequence[ErrorTerm]) -> float:
    """The level whose interval ends at 0."""
    present = [one for one in errors if one.error > 0]
    if shrunk == 0 or not present:  # no error: all weights are 0
        return 1.0
    if len(present) == 1:
        return 2 * float(special.stdtr(present[0].df, -abs(shrunk) / present[0].error))
    if _half(present, SMALLEST_P) <= abs(shrunk):
        return SMALLEST_P
    return float(
        optimize.brentq(
            lambda level: _half(present, level) - abs(shrunk), SMALLEST_P, 1.0, xtol=1e-14
        )
    )


def combine(terms: Sequence[Term]) -> Estimate:
    if not terms:
        raise ValueError("a contrast needs at least one benchmark")
    parts = [_estimate(term) for term in terms]
    variance = math.fsum(one.variance for one in parts)
    # Welch and Satterthwaite: the degrees of freedom of a sum of estimated variances.
    squares = math.fsum(one.variance**2 / one.df for one in parts)
    return Estimate(
        value=math.fsum(one.value for one in parts),
        shrunk=math.fsum(one.shrunk for one in parts),
        variance=variance,
        df=variance**2 / squares if squares > 0 else 1,
        reach=math.fsum(one.reach for one in parts),
    )


def _estimate(term: Term) -> Estimate:
    correct = np.asarray(term.answers.correct, dtype=np.float64)
    weights = np.asarray(term.weights, dtype=np.float64)
    samples = term.answers.samples
    _check(correct, weights, samples)
    each = weights @ correct / samples
    num = each.size
    more = num + 1 / samples  # one more answer is 1 / samples of a question
    # Between two runs its contrast is +1 or -1; between means of many runs it is less.
    squares = float(each @ each) + float(weights @ weights) / 2 / samples
    shrunk = float(each.sum()) / more
    return Estimate(
        value=float(each.sum()) / num,
        shrunk=shrunk,
        variance=(squares / more - shrunk**2) / (more - 1),
        df=max(1, num - 1),
        reach=float(weights[weights > 0].sum()),
    )


def _check(correct: NDArray[np.float64], weights: NDArray[np.float64], samples: int) -> None:
    if correct.ndim != 2 or correct.shape[0] != weights.size or correct.shape[1] == 0:
        raise ValueError(
            f"answers of shape {correct.shape} and {weights.size} weights; "
            "allowed: one row a run and a weight each, at least one question"
        )
    if not np.all((correct >= 0) & (correct <= samples)):  # NaN, from None, is neither
        raise ValueError(f"right answers to a question are not all among 0 to {samples}")
    if abs(weights.sum()) > 1e-9:
        raise ValueError(f"weights sum to {weights.sum():g}; allowed: 0")


def group_terms(benchmarks: Sequence[CorrectCounts], weights: Weights) -> list[Term]:
    """The same contrast in every benchmark of a group, for the group's mean (paper, 3.1.2)."""
    share = [weight / len(benchmarks) for weight in weights]
    return [Term(answers, share) for answers in benchmarks]


def negate(terms: Sequence[Term]) -> list[Term]:
    """To set one group against another: group(stem, w) + minus(group(math, w))."""
    return [Term(term.answers, [-weight for weight in term.weights]) for term in terms]


def difference_weights(runs: int, ours: Collection[int], theirs: Collection[int]) -> list[float]:
    """Mean of the runs at the places `ours` less the mean of those at `theirs`."""
    weights = [0.0] * runs
    for place in ours:
        weights[place] += 1 / len(ours)
    for place in theirs:
        weights[place] -= 1 / len(theirs)
    return weights


def trend_weights(places: Sequence[float]) -> list[float]:
    """Least squares: how much a score rises for one step of `places`, e.g. ranks 1 2 3 4."""
    centre = math.fsum(places) / len(places)
    apart = [place - centre for place in places]
    squares = math.fsum(one * one for one in apart)
    if squares == 0:
        raise ValueError(f"places {list(places)}: a slope needs two different ones")
    return [one / squares for one in apart]
