"""Decide which dimensions a rater sees, from its scores of pairs with known faults.

All numbers are differences of scores on the 1-5 scale, clean less faulty. The sampling unit is the
problem: its pairs share a clean trace.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from delta.stats.one_sided import StudentT

ALPHA = 0.05  # of one or more false verdicts among all dimensions
MIN_LENGTH_SD = 0.1  # of log2 lengths: below it a slope on length is not estimated
# Each group counts one more pair, this far from its mean: a rater without any variance must not
# claim certainty from a few pairs. Half of the 1-5 scale.
EXTRA_DEVIATION = 2.0

Floats = NDArray[np.float64]
SightVerdict = Literal["sees", "cannot tell", "blind"]
ABOVE_CHANGES = "above_changes"
ABOVE_OTHER_FAULTS = "above_other_faults"
ABOVE_OTHER_DIMENSIONS = "above_other_dimensions"


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


class Sight(NamedTuple):
    """The verdict on one dimension, with the three differences that decide it."""

    verdict: SightVerdict
    reason: str
    differences: dict[str, StudentT]  # by ABOVE_…, those that can be measured


class Groups:
    """Means of the differences by kind, corrected for the rater's length bias.

    `means` is kinds × dimensions. `parts` is kinds × problems × dimensions: each problem's part in
    the error of the mean, so that the error of any sum of means follows from the same parts.
    """

    def __init__(self, scores: Scores) -> None:
        self.names = list(dict.fromkeys(scores.kinds))
        problems = np.concatenate([scores.problems, scores.clean_problems])
        _, numbers = np.unique(problems, return_inverse=True)
        self.num_problems = int(numbers.max(initial=-1)) + 1
        of_pairs, of_clean = np.split(numbers, [len(scores.problems)])
        slopes, slope_parts = _slopes(scores, of_clean, self.num_problems)
        shape = (len(self.names), scores.differences.shape[1])
        self.means, self.counts = np.full(shape, np.nan), np.zeros(shape, dtype=np.int64)
        self.clusters = np.zeros(shape, dtype=np.int64)
        self.parts = np.zeros((shape[0], self.num_problems, shape[1]))
        kinds = np.array([self.names.index(kind) for kind in scores.kinds], dtype=np.int64)
        for index in range(len(self.names)):
            rows = kinds == index
            self._add(index, scores.differences[rows], of_pairs[rows])
            known = ~np.isnan(scores.differences[rows])
            ratios = np.where(known, scores.length_ratios[rows, None], 0.0).sum(axis=0)
            ratios /= np.maximum(self.counts[index], 1)
            self.means[index] -= ratios * slopes
            self.parts[index] -= ratios * slope_parts

    def _add(self, index: int, values: Floats, problems: NDArray[np.int64]) -> None:
        known = ~np.isnan(values)
        count = known.sum(axis=0)
        self.counts[index] = count
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(known, values, 0.0).sum(axis=0) / count
        self.means[index] = mean
        deviations = np.where(known, values - mean, 0.0) / np.maximum(count, 1)
        np.add.at(self.parts[index], problems, deviations)
        has_pair = np.zeros((self.num_problems, values.shape[1]), dtype=bool)
        np.logical_or.at(has_pair, problems, known)
        self.clusters[index] = has_pair.sum(axis=0)

    def estimate(self, weights: Mapping[tuple[int, int], float]) -> StudentT:
        """Return the weighted sum of the means of cells (kind, dimension).

        Each cell needs pairs of two problems.
        """
        value, total, extra = 0.0, np.zeros(self.num_problems), 0.0
        df = self.num_problems
        for (kind, dimension), weight in weights.items():
            count = int(self.counts[kind, dimension])
            value += weight * float(self.means[kind, dimension])
            total += weight * self.parts[kind, :, dimension]
            extra += (weight * EXTRA_DEVIATION / count) ** 2
            df = min(df, int(self.clusters[kind, dimension]))
        variance = (float(total @ total) + extra) * df / (df - 1)
        return StudentT(value, float(np.sqrt(variance)), df - 1)


def _slopes(
    scores: Scores, problems: NDArray[np.int64], num_problems: int
) -> tuple[Floats, Floats]:
    """Return the change of the score per doubled length of clean traces, and each problem's part.

    Clean traces have no fault, so a rater without length bias gives them the same score
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


def slope_estimates(scores: Scores) -> list[StudentT | None]:
    """Return, by dimension, the change of the score per doubled length; None: not measurable."""
    _, numbers = np.unique(scores.clean_problems, return_inverse=True)
    count = int(numbers.max(initial=-1)) + 1
    slopes, parts = _slopes(scores, numbers, count)
    estimates: list[StudentT | None] = []
    for dimension, slope in enumerate(slopes):
        known = ~np.isnan(scores.clean[:, dimension])
        lengths = scores.clean_lengths[known]
        rated = len(np.unique(numbers[known]))  # problems with a vote in this dimension
        if len(lengths) < 3 or rated < 3 or lengths.std() < MIN_LENGTH_SD:
            estimates.append(None)
            continue
        spread = len(lengths) * float(lengths.var())
        squares = float(parts[:, dimension] @ parts[:, dimension])
        # One more trace, EXTRA_DEVIATION from the line and a standard deviation from the mean.
        extra = EXTRA_DEVIATION**2 * float(lengths.var()) / spread**2
        error = np.sqrt((squares + extra) * rated / (rated - 2))
        estimates.append(StudentT(float(slope), float(error), rated - 2))
    return estimates


def decide(
    groups: Groups,
    dimension_of: Mapping[str, str | None],
    dimensions: Sequence[str],
    smallest: float,
) -> dict[str, Sight]:
    """Return a verdict for every dimension that has faults of its own, by three differences.

    `dimension_of` names the dimension of each fault; all other kinds are changes that must not
    matter. How far does the dimension's score fall for its own faults?

    - ABOVE_CHANGES: further than for changes that must not matter;
    - ABOVE_OTHER_FAULTS: further than for faults of other dimensions;
    - ABOVE_OTHER_DIMENSIONS: further in that sense than the other dimensions' scores do (the
      interaction of fault and dimension, which a general impression of the trace leaves at 0).

    The rater sees a dimension where all three are above 0 (an intersection-union test), and is
    blind where one of them is below `smallest`, even if it is above 0. Tests are one-sided t-tests,
    Bonferroni-corrected for the dimensions, and for the three differences where one is enough. At
    most one of a dimension's two hypotheses is true, so the chance of any false "sees" or "blind"
    is at most ALPHA.
    """
    tested = [name for name in dimensions if name in set(dimension_of.values())]
    return {
        name: _sight(
            _differences(groups, dimension_of, dimensions, name), smallest, len(dimensions)
        )
        for name in tested
    }


_REASONS = {
    ABOVE_CHANGES: "its own faults do not lower it",
    ABOVE_OTHER_FAULTS: "faults of other dimensions lower it as much",
    ABOVE_OTHER_DIMENSIONS: "its own faults lower the other dimensions as much",
}


def _sight(differences: dict[str, StudentT], smallest: float, num_dimensions: int) -> Sight:
    if not differences:
        return Sight("cannot tell", "too few pairs have votes on both sides", differences)
    for name, difference in differences.items():
        if difference.p_below(smallest) * len(differences) * num_dimensions < ALPHA:
            return Sight("blind", _REASONS[name], differences)
    if max(each.p_above(0.0) for each in differences.values()) * num_dimensions < ALPHA:
        return Sight("sees", "its own faults lower it, and lower it most", differences)
    return Sight("cannot tell", "more pairs would tell", differences)


def _differences(
    groups: Groups,
    dimension_of: Mapping[str, str | None],
    dimensions: Sequence[str],
    name: str,
) -> dict[str, StudentT]:
    """Return the differences that can be measured; none where no fault of its own has votes."""
    column = dimensions.index(name)
    rated = groups.clusters >= 2  # kinds × dimensions
    kinds = {kind: number for number, kind in enumerate(groups.names) if rated[number, column]}
    own = [number for kind, number in kinds.items() if dimension_of.get(kind) == name]
    changes = [number for kind, number in kinds.items() if kind not in dimension_of]
    others = [
        number for kind, number in kinds.items() if dimension_of.get(kind) not in (None, name)
    ]
    if not own:
        return {}
    fall = {(kind, column): 1 / len(own) for kind in own}
    weights = {ABOVE_CHANGES: fall | {(kind, column): -1 / len(changes) for kind in changes}}
    if others:
        fall |= {(kind, column): -1 / len(others) for kind in others}
        weights[ABOVE_OTHER_FAULTS] = fall
    rest = [
        n for n in range(len(dimensions)) if n != column and rated[[k for k, _ in fall], n].all()
    ]
    if rest:
        weights[ABOVE_OTHER_DIMENSIONS] = fall | {
            (kind, other): -weight / len(rest)
            for (kind, _), weight in fall.items()
            for other in rest
        }
    return {key: groups.estimate(of_cells) for key, of_cells in weights.items()}
