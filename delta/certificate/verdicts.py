"""Decide which dimensions a rater sees, from its scores of pairs with known faults.

All numbers are differences of scores on the 1-5 scale, clean less faulty. The sampling unit is the
problem: its pairs share a clean trace.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from delta.stats.intervals import OptionalInterval, t95

ALPHA = 0.05  # of one or more false verdicts among all dimensions
MIN_LENGTH_SD = 0.1  # of log2 lengths: below it a slope on length is not estimated
# Each group counts one more pair, this far from its mean: a rater without any variance must not
# claim certainty from a few pairs. Half of the 1-5 scale.
EXTRA_DEVIATION = 2.0

Floats = NDArray[np.float64]
Verdict = Literal["sees", "cannot tell", "blind"]
OWN_FAULTS = "its own faults"
OTHER_DIMENSIONS = "the other dimensions"
OTHER_FAULTS = "the faults of other dimensions"


class Scores(NamedTuple):
    """A rater's scores of all pairs of a source; nan where it gave no vote.

    Pairs: differences (pairs × dimensions), kind (fault or change), problem (an integer) and
    log2 of the lengths' ratio, clean to faulty. Clean traces: scores (traces × dimensions), log2
    lengths, problem.
    """

    differences: Floats
    kinds: Sequence[str]
    problems: NDArray[np.int64]
    length_ratios: Floats
    clean: Floats
    clean_lengths: Floats
    clean_problems: NDArray[np.int64]


class Estimate(NamedTuple):
    """A difference with its standard error, and each problem's part in it."""

    value: float
    error: float
    df: int

    def interval(self) -> OptionalInterval:
        half_width = t95(self.df) * self.error
        return OptionalInterval(self.value, self.value - half_width, self.value + half_width)

    def p_above(self, bound: float) -> float:
        """Return the p-value of: the difference is at most `bound`."""
        return float(special.stdtr(self.df, (bound - self.value) / self.error))

    def p_below(self, bound: float) -> float:
        """Return the p-value of: the difference is at least `bound`."""
        return float(special.stdtr(self.df, (self.value - bound) / self.error))


class Sight(NamedTuple):
    """The verdict on one dimension, with the three differences that decide it."""

    verdict: Verdict
    reason: str
    differences: dict[str, Estimate]  # OWN_FAULTS, OTHER_DIMENSIONS, OTHER_FAULTS, where they exist


class Groups:
    """Means of the differences by kind, corrected for the rater's taste for length.

    `means` is kinds × dimensions. `parts` is kinds × problems × dimensions: each problem's part in
    the error of the mean, so that the error of any sum of means follows from the same parts.
    """

    def __init__(self, scores: Scores) -> None:
        self.names = list(dict.fromkeys(scores.kinds))
        problems = np.concatenate([scores.problems, scores.clean_problems])
        _, numbers = np.unique(problems, return_inverse=True)
        self.num_problems = int(numbers.max(initial=-1)) + 1
        of_pairs, of_clean = np.split(numbers, [len(scores.problems)])
        self.slopes, slope_parts = _slopes(scores, of_clean, self.num_problems)
        shape = (len(self.names), scores.differences.shape[1])
        self.means, self.counts = np.full(shape, np.nan), np.zeros(shape, dtype=np.int64)
        self.raw = np.full(shape, np.nan)
        self.clusters = np.zeros(shape, dtype=np.int64)
        self.parts = np.zeros((shape[0], self.num_problems, shape[1]))
        kinds = np.array([self.names.index(kind) for kind in scores.kinds], dtype=np.int64)
        for index in range(len(self.names)):
            rows = kinds == index
            self._add(index, scores.differences[rows], scores.length_ratios[rows], of_pairs[rows])
            ratio = scores.length_ratios[rows].mean() if rows.any() else 0.0
            self.means[index] -= ratio * self.slopes
            self.parts[index] -= ratio * slope_parts

    def _add(self, index: int, values: Floats, ratios: Floats, problems: NDArray[np.int64]) -> None:
        known = ~np.isnan(values)
        count = known.sum(axis=0)
        self.counts[index] = count
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(known, values, 0.0).sum(axis=0) / count
        self.means[index] = self.raw[index] = mean
        deviations = np.where(known, values - mean, 0.0) / np.maximum(count, 1)
        np.add.at(self.parts[index], problems, deviations)
        has_pair = np.zeros((self.num_problems, values.shape[1]), dtype=bool)
        np.logical_or.at(has_pair, problems, known)
        self.clusters[index] = has_pair.sum(axis=0)

    def estimate(self, weights: Mapping[tuple[int, int], float]) -> Estimate | None:
        """Return the sum of means by weight of (kind, dimension); None where a mean is missing."""
        value, total, extra = 0.0, np.zeros(self.num_problems), 0.0
        df = self.num_problems
        for (kind, dimension), weight in weights.items():
            count = int(self.counts[kind, dimension])
            if self.clusters[kind, dimension] < 2:
                return None
            value += weight * float(self.means[kind, dimension])
            total += weight * self.parts[kind, :, dimension]
            extra += (weight * EXTRA_DEVIATION / count) ** 2
            df = min(df, int(self.clusters[kind, dimension]))
        variance = (float(total @ total) + extra) * df / (df - 1)
        return Estimate(value, float(np.sqrt(variance)), df - 1)


def _slopes(
    scores: Scores, problems: NDArray[np.int64], num_problems: int
) -> tuple[Floats, Floats]:
    """Return the change of the score per doubled length of clean traces, and each problem's part.

    Clean traces have no fault, so a rater without a taste for length gives them the same score
    whatever their length. Zero where the lengths hardly differ, or a dimension has no votes.
    """
    num_dimensions = scores.clean.shape[1]
    slopes, parts = np.zeros(num_dimensions), np.zeros((num_problems, num_dimensions))
    for dimension in range(num_dimensions):
        known = ~np.isnan(scores.clean[:, dimension])
        x, y = scores.clean_lengths[known], scores.clean[known, dimension]
        if len(x) < 3 or x.std() < MIN_LENGTH_SD:
            continue
        x, y = x - x.mean(), y - y.mean()
        squares = float(x @ x)
        slopes[dimension] = float(x @ y) / squares
        residuals = y - slopes[dimension] * x
        np.add.at(parts[:, dimension], problems[known], x * residuals / squares)
    return slopes, parts


def slope_estimates(scores: Scores) -> list[Estimate | None]:
    """Return, by dimension, the change of the score per doubled length; None: not measurable."""
    _, numbers = np.unique(scores.clean_problems, return_inverse=True)
    count = int(numbers.max(initial=-1)) + 1
    slopes, parts = _slopes(scores, numbers, count)
    estimates: list[Estimate | None] = []
    for dimension, slope in enumerate(slopes):
        known = ~np.isnan(scores.clean[:, dimension])
        lengths = scores.clean_lengths[known]
        if len(lengths) < 3 or count < 3 or lengths.std() < MIN_LENGTH_SD:
            estimates.append(None)
            continue
        spread = len(lengths) * float(lengths.var())
        squares = float(parts[:, dimension] @ parts[:, dimension])
        # One more trace, EXTRA_DEVIATION from the line and a standard deviation from the mean.
        extra = EXTRA_DEVIATION**2 * float(lengths.var()) / spread**2
        error = np.sqrt((squares + extra) * count / (count - 2))
        estimates.append(Estimate(float(slope), float(error), count - 2))
    return estimates


def decide(
    groups: Groups,
    dimension_of: Mapping[str, str | None],
    dimensions: Sequence[str],
    smallest: float,
) -> dict[str, Sight]:
    """Return a verdict for every dimension that has faults of its own, by three differences.

    `dimension_of` names the dimension of each fault; other kinds of pairs are changes that must
    not matter. A dimension is seen where its score falls more for its own faults (1) than for
    changes that must not matter, (2) than the other dimensions' scores do, and (3) than for faults
    of other dimensions: all three above 0, an intersection-union test. It is blind where one of
    the three is below `smallest`. Both by one-sided t-tests, Bonferroni-corrected for the number of
    dimensions, and "blind" for its differences too: of the two hypotheses at most one is true, so
    the chance of any false verdict is at most ALPHA. A difference that is shown to be above 0 and
    below `smallest` is no sight.
    """
    tested = [name for name in dimensions if name in set(dimension_of.values())]
    return {
        name: _sight(groups, dimension_of, dimensions, name, smallest, ALPHA / len(tested))
        for name in tested
    }


def _sight(
    groups: Groups,
    dimension_of: Mapping[str, str | None],
    dimensions: Sequence[str],
    name: str,
    smallest: float,
    alpha: float,
) -> Sight:
    weights = _weights(groups.names, dimension_of, dimensions, name)
    estimates = {key: groups.estimate(value) for key, value in weights.items()}
    known = {key: estimate for key, estimate in estimates.items() if estimate is not None}
    if len(known) < len(estimates):
        return Sight("cannot tell", "too few votes", known)
    below = {key: estimate.p_below(smallest) * len(known) for key, estimate in known.items()}
    lowest = min(below, key=lambda key: below[key])
    if below[lowest] < alpha:
        return Sight("blind", _REASONS[lowest], known)
    if all(estimate.p_above(0.0) < alpha for estimate in known.values()):
        return Sight("sees", "its own faults lower it, and more than all else", known)
    return Sight("cannot tell", "more pairs would tell", known)


_REASONS = {
    OWN_FAULTS: "its own faults do not lower it",
    OTHER_DIMENSIONS: "its own faults lower the other dimensions as much",
    OTHER_FAULTS: "faults of other dimensions lower it as much",
}


def _weights(
    kinds: Sequence[str],
    dimension_of: Mapping[str, str | None],
    dimensions: Sequence[str],
    name: str,
) -> dict[str, dict[tuple[int, int], float]]:
    """Return the weights of (kind, dimension) in each of the differences that exist."""
    column = dimensions.index(name)
    own = [number for number, kind in enumerate(kinds) if dimension_of.get(kind) == name]
    changes = [number for number, kind in enumerate(kinds) if kind not in dimension_of]
    others = [
        number for number, kind in enumerate(kinds) if dimension_of.get(kind) not in (None, name)
    ]
    fall = {(kind, column): 1 / len(own) for kind in own}
    weights = {OWN_FAULTS: fall | {(kind, column): -1 / len(changes) for kind in changes}}
    if others:
        beyond = fall | {(kind, column): -1 / len(others) for kind in others}
        weights[OTHER_FAULTS] = beyond
        fall = beyond
    rest = [number for number in range(len(dimensions)) if number != column]
    if rest:
        weights[OTHER_DIMENSIONS] = fall | {
            (kind, other): -weight / len(rest)
            for (kind, _), weight in fall.items()
            for other in rest
        }
    return weights
