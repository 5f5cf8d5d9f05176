"""Try a rater on pairs with known faults, and on changes that must not matter."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from delta.certificate import verdicts
from delta.certificate.changes import CHANGES, RUBRIC_ORDER
from delta.certificate.pairs import FaultPair
from delta.certificate.verdicts import ALPHA, Floats, Groups, Scores, Sight
from delta.core.files import round4
from delta.core.types import Counts, Row
from delta.judging.judge import JudgeInput
from delta.judging.rubric import DIMENSIONS
from delta.stats.intervals import Z95, Interval, OptionalInterval, mean_interval
from delta.stats.one_sided import StudentT

# Returns RATING rows of the inputs; with True, from a rubric whose dimensions are reversed.
RateFn = Callable[[list[JudgeInput], bool], pl.DataFrame]


class Trial(NamedTuple):
    """A clean trace beside another one, both as inputs of the rater."""

    kind: str  # the fault, or the change that must not matter
    problem: str
    clean: str  # trace_id of the clean input
    other: str
    length_ratio: float  # log2 of the lengths, clean to other


class Trials(NamedTuple):
    """All that a rater is asked about one source. Equal texts are one input."""

    inputs: dict[str, JudgeInput]  # by trace_id
    pairs: list[Trial]  # with a fault
    changes: list[Trial]  # that must not matter
    clean: dict[str, str]  # trace_id → problem
    changed: dict[str, str]  # those of `clean` that are changed: one of a problem


def build_trials(source: str, pairs: Sequence[FaultPair]) -> Trials:
    """Return the inputs of a source's pairs, and those of changed clean traces.

    Changed are the traces of as many problems as the commonest fault has pairs. A change that
    leaves a trace as it is gives no pair.
    """
    ids: dict[tuple[str, str], str] = {}

    def input_id(statement: str, trace: str) -> str:
        return ids.setdefault((statement, trace), f"{source}/{len(ids)}")

    faulty, changes = [], []
    clean: dict[str, str] = {}
    changed: dict[str, str] = {}
    most = max(Counter(pair.fault for pair in pairs).values())
    for pair in pairs:
        first, second = (input_id(pair.statement, text) for text in (pair.clean, pair.faulty))
        ratio = _length_ratio(pair.clean, pair.faulty)
        faulty.append(Trial(pair.fault, pair.problem, first, second, ratio))
        if first in clean:
            continue
        clean[first] = pair.problem
        if pair.problem in changed.values() or len(changed) == most:
            continue
        changed[first] = pair.problem
        for name, change in CHANGES.items():
            texts = change(pair.statement, pair.clean)
            if texts != (pair.statement, pair.clean):
                ratio = _length_ratio(pair.clean, texts[1])
                changes.append(Trial(name, pair.problem, first, input_id(*texts), ratio))
    inputs = {key: JudgeInput(key, *texts) for texts, key in ids.items()}
    return Trials(inputs, faulty, changes, clean, changed)


def _length_ratio(clean: str, other: str) -> float:
    return math.log2(max(1, len(clean)) / max(1, len(other)))


def certify(
    pairs: dict[str, list[FaultPair]], rate: RateFn, reads_rubric: bool, smallest: float
) -> Counts:
    """Return the certificate of one rater. `pairs` are by source.

    `reads_rubric`: whether the order of the rubric's dimensions may matter to it. `smallest`: the
    smallest fall that counts as sight, in points. The first source with pairs for a dimension
    decides its verdict.
    """
    certificate: Counts = {"dimensions": {}, "matrix": [], "length": [], "noise": []}
    for name, found in pairs.items():
        if not found:
            continue
        trials = build_trials(name, found)
        ratings = rate(list(trials.inputs.values()), False)
        if reads_rubric:
            clean = [trials.inputs[key] for key in trials.changed]
            trials, reordered = reorder_rubric(trials, rate(clean, True))
            ratings = pl.concat([ratings, reordered])
        votes = MeanVotes.read(ratings)
        scores = _scores(trials, votes)
        dimension_of = {pair.fault: pair.dimension for pair in found}
        groups = Groups(scores)
        sights = verdicts.decide(groups, dimension_of, DIMENSIONS, smallest)
        for dimension, sight in sights.items():
            row = {"source": name} | _sight_row(groups, dimension_of, dimension, sight)
            certificate["dimensions"].setdefault(dimension, row)
        for table, rows in (
            ("matrix", _matrix_rows(scores, dimension_of)),
            ("length", _length_rows(scores)),
            ("noise", _noise_rows(trials, scores, votes)),
        ):
            certificate[table] += [{"source": name} | row for row in rows]
    untried = {"source": None, "verdict": "cannot tell", "reason": "no pairs have a fault of it"}
    decided = certificate["dimensions"]
    certificate["dimensions"] = {name: decided.get(name, untried) for name in DIMENSIONS}
    return certificate


def reorder_rubric(trials: Trials, ratings: pl.DataFrame) -> tuple[Trials, pl.DataFrame]:
    """Return the trials and ratings with one more change: `ratings` by the reversed rubric."""
    suffix = f"/{RUBRIC_ORDER}"
    changes = [
        Trial(RUBRIC_ORDER, problem, clean, clean + suffix, 0.0)
        for clean, problem in trials.changed.items()
    ]
    renamed = ratings.with_columns(pl.col("trace_id") + suffix)
    return trials._replace(changes=trials.changes + changes), renamed


class MeanVotes(NamedTuple):
    """Mean votes by trace (inputs × dimensions; nan: no vote), and the noise of such a mean."""

    rows: dict[str, int]  # trace_id → row of `means`
    means: Floats
    variances: list[float | None]  # of a mean vote between repetitions; None: one vote a trace

    @classmethod
    def read(cls, ratings: pl.DataFrame) -> "MeanVotes":
        """Return the mean votes of RATING rows."""
        rows = {key: number for number, key in enumerate(ratings["trace_id"].unique().sort())}
        means = np.full((len(rows), len(DIMENSIONS)), np.nan)
        squares: list[list[float]] = [[] for _ in DIMENSIONS]
        columns = ratings.select("trace_id", "dimension", "votes").iter_rows()
        for trace_id, dimension, votes in columns:
            if dimension not in DIMENSIONS or not votes:
                continue
            column = DIMENSIONS.index(dimension)
            means[rows[trace_id], column] = sum(votes) / len(votes)
            if len(votes) > 1:
                squares[column].append(float(np.var(votes, ddof=1)) / len(votes))
        return cls(rows, means, [float(np.mean(each)) if each else None for each in squares])

    def of(self, keys: Iterable[str]) -> Floats:
        """Return the mean votes of these traces, one row each."""
        missing = len(self.rows)
        padded = np.vstack([self.means, np.full((1, len(DIMENSIONS)), np.nan)])
        found: Floats = padded[[self.rows.get(key, missing) for key in keys]]
        return found


def _scores(trials: Trials, votes: MeanVotes) -> Scores:
    all_trials = trials.pairs + trials.changes
    numbers = {problem: n for n, problem in enumerate(dict.fromkeys(trials.clean.values()))}
    lengths = [math.log2(max(1, len(trials.inputs[key].trace))) for key in trials.clean]
    return Scores(
        votes.of(trial.clean for trial in all_trials)
        - votes.of(trial.other for trial in all_trials),
        [trial.kind for trial in all_trials],
        np.array([numbers[trial.problem] for trial in all_trials]),
        np.array([trial.length_ratio for trial in all_trials]),
        votes.of(trials.clean),
        np.array(lengths),
        np.array([numbers[problem] for problem in trials.clean.values()]),
    )


def _sight_row(
    groups: Groups, dimension_of: dict[str, str | None], dimension: str, sight: Sight
) -> Row:
    column = DIMENSIONS.index(dimension)
    own = [n for n, kind in enumerate(groups.names) if dimension_of.get(kind) == dimension]
    return {
        "verdict": sight.verdict,
        "reason": sight.reason,
        "pairs": int(groups.counts[own, column].sum()),
        **{name: _bounds(estimate) for name, estimate in sight.differences.items()},
    }


def _bounds(estimate: StudentT | Interval | OptionalInterval) -> Row:
    interval = estimate.interval() if isinstance(estimate, StudentT) else estimate
    return dict(zip(("value", "low", "high"), map(round4, interval), strict=True))


def _matrix_rows(scores: Scores, dimension_of: dict[str, str | None]) -> list[Row]:
    """Return the mean fall of each dimension's score for each fault and change, as it was rated."""
    kinds, rows = np.array(scores.kinds), []
    for kind in dict.fromkeys(scores.kinds):
        of_kind = kinds == kind
        problems = scores.problems[of_kind]
        for column, dimension in enumerate(DIMENSIONS):
            values = scores.differences[of_kind, column]
            known = ~np.isnan(values)
            rows.append(
                {
                    "kind": "fault" if kind in dimension_of else "change",
                    "name": kind,
                    "own_dimension": dimension_of.get(kind),
                    "dimension": dimension,
                    "pairs": int(known.sum()),
                    "without_vote": int((~known).sum()),
                    **_bounds(mean_interval(_problem_means(values[known], problems[known]), -4, 4)),
                }
            )
    return rows


def _problem_means(values: Floats, problems: NDArray[np.int64]) -> Floats:
    _, numbers, counts = np.unique(problems, return_inverse=True, return_counts=True)
    means: Floats = np.bincount(numbers, values, minlength=len(counts)) / counts
    return means


def _length_rows(scores: Scores) -> list[Row]:
    """Return the change of the score of clean traces per doubled length."""
    rows: list[Row] = []
    for dimension, slope in zip(DIMENSIONS, verdicts.slope_estimates(scores), strict=True):
        if slope is None:
            untried = {"bias": "cannot tell", "value": None, "low": None, "high": None}
            rows.append({"dimension": dimension} | untried)
            continue
        p = 2 * min(slope.p_above(0.0), slope.p_below(0.0)) * len(DIMENSIONS)
        bias = "none shown" if p >= ALPHA else "long" if slope.centre > 0 else "short"
        rows.append({"dimension": dimension, "bias": bias, **_bounds(slope)})
    return rows


def _noise_rows(trials: Trials, scores: Scores, votes: MeanVotes) -> list[Row]:
    """Return how large a delta may be without any reason, at 95%.

    `votes`: between two means of repeated votes on the same trace, from their variance; None where
    there is one vote. `changes`: under the changes that must not matter, votes' noise included.
    """
    num_pairs = len(trials.pairs)
    rows: list[Row] = []
    for column, dimension in enumerate(DIMENSIONS):
        changes = np.abs(scores.differences[num_pairs:, column])
        changes = changes[~np.isnan(changes)]
        variance = votes.variances[column]
        floors = {
            "votes": None if variance is None else Z95 * math.sqrt(2 * variance),
            "changes": float(np.quantile(changes, 0.95)) if len(changes) else None,
        }
        known = [floor for floor in floors.values() if floor is not None]
        floors["floor"] = max(known, default=None)
        rounded = {name: round4(floor) for name, floor in floors.items()}
        rows.append({"dimension": dimension, "traces": len(changes), **rounded})
    return rows
