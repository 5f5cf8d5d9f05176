"""Measure the quantities of claims.yaml: value, 95% interval and p."""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import special

from delta.core.errors import InputError
from delta.core.types import Row
from delta.evaluation.cut_answers import cut_percent, largest
from delta.experiments.results import AnswerCounts
from delta.report.context import MODELS, SEED, MissingResultError, ReportContext, Run
from delta.report.paper.claims import (
    MeanDelta,
    RunSelector,
    ScoreDifference,
    ScoreTrend,
    TopkOverlap,
)
from delta.stats import contrasts
from delta.stats.contrasts import CorrectCounts
from delta.stats.intervals import Z95, wilson
from delta.stats.seeds import contrast_with_seeds

Replicates = list[Run]  # one run, or several that differ only in the seed
AXIS_REFERENCE = re.compile(r"([\w-]+)\.(\w+)(?:\.(first|last))?")
NAMED_RUNS = {
    "base": {"experiment": MODELS, "name": "$base"},
    "full": {"experiment": "figure-2", "method": "dpo", "chosen": "$chosen"},
}
MEAN = "mean"  # over all dimensions, among the rows of deltas


class Measurement(NamedTuple):
    """A measured quantity."""

    value: float
    low: float
    high: float
    p: float  # two-sided, not corrected
    cut: float | None = 0.0  # percent of cut answers, the largest of its scores; None: not known


class Evaluator:
    """Evaluates quantities on the results of a profile.

    `variables` give "$name" its meaning, besides $base, $chosen and $rejected. Every method raises
    MissingResultError, which says what is missing, and InputError for results that cannot be
    compared.
    """

    def __init__(self, context: ReportContext, variables: dict[str, str] | None = None) -> None:
        self.context = context
        self.variables = {
            "base": context.base,
            "chosen": context.chosen,
            "rejected": context.rejected,
            **(variables or {}),
        }

    def evaluate(
        self, quantity: ScoreDifference | ScoreTrend | MeanDelta | TopkOverlap, threshold: float
    ) -> Measurement:
        """Measure any quantity; p is that of the quantity being equal to `threshold`."""
        match quantity:
            case ScoreDifference():
                return self.score_difference(quantity)
            case ScoreTrend():
                return self.score_trend(quantity)
            case MeanDelta():
                return self.mean_delta(quantity, threshold)
            case TopkOverlap():
                return self.topk_overlap(quantity, threshold)

    def score_difference(self, quantity: ScoreDifference) -> Measurement:
        """Measure a difference of scores, in points."""
        groups: list[Replicates] = []
        weights: list[float] = []
        for sign, selectors in ((1.0, quantity.runs), (-1.0, quantity.baseline)):
            for selector in selectors:
                selected = self.select_runs(selector)
                groups += selected
                weights += [sign / len(selectors) / len(selected)] * len(selected)
        return self._contrast(quantity, groups, weights)

    def score_trend(self, quantity: ScoreTrend) -> Measurement:
        """Measure a slope of scores, in points for the whole axis or for a point of delta."""
        groups = self.select_runs(quantity.runs)
        entries = [runs[0].axes[quantity.axis] for runs in groups]
        if len(set(entries)) < 2:
            raise MissingResultError(f"only one {quantity.axis}: no trend to measure")
        positions: list[float] = np.linspace(0, 1, len(entries)).tolist()
        if quantity.positions == "delta":
            rejected = self.context.rejected
            positions = [float(self._delta_row(name, rejected, MEAN)["delta"]) for name in entries]
        return self._contrast(quantity, groups, contrasts.trend_weights(positions))

    def mean_delta(self, quantity: MeanDelta, threshold: float) -> Measurement:
        """Look up a mean delta, in points of the rating scale."""
        texts = (quantity.chosen, quantity.rejected, quantity.dimension)
        chosen, rejected, dimension = map(self.resolve_one, texts)
        row = self._delta_row(chosen, rejected, dimension)
        if row["low"] is None:
            raise MissingResultError(f"{chosen} against {rejected}: no interval for one problem")
        return from_interval(row["delta"], row["low"], row["high"], threshold)

    def topk_overlap(self, quantity: TopkOverlap, threshold: float) -> Measurement:
        """Measure an overlap, in percent. Each of the k pairs is a trial of "is in the other set".

        The bounds of a mean are the means of the bounds, and those of a difference the farthest
        ones: too wide rather than too narrow.
        """
        value, low, high = self._mean_overlap(quantity.sets)
        if quantity.minus is not None:
            other, other_low, other_high = self._mean_overlap(quantity.minus)
            value, low, high = value - other, low - other_high, high - other_low
        return from_interval(value, low, high, threshold)

    def resolve(self, text: str) -> list[str]:
        """Return the entries that a text of claims.yaml stands for."""
        if text.startswith("$"):
            return [self.variables[text[1:]]]
        if match := AXIS_REFERENCE.fullmatch(text):
            experiment, axis, end = match.groups()
            entries = self.context.entries(experiment, axis)
            return entries if end is None else [entries[0 if end == "first" else -1]]
        return [text]

    def resolve_one(self, text: str) -> str:
        """Return the only entry that a text of claims.yaml stands for."""
        (entry,) = self.resolve(text)
        return entry

    def select_runs(self, selector: RunSelector) -> list[Replicates]:
        """Return the selected runs, those that differ only in the seed together."""
        axes = dict(NAMED_RUNS[selector] if isinstance(selector, str) else selector)
        experiment = axes.pop("experiment")
        allowed = {axis: self.resolve(text) for axis, text in axes.items()}
        runs = [
            run
            for run in self.context.runs(experiment)
            if all(run.axes.get(axis) in entries for axis, entries in allowed.items())
        ]
        if not runs:
            raise MissingResultError(f"this profile has no such run of {experiment}")
        if missing := sum(run.result is None for run in runs):
            raise MissingResultError(f"{experiment}: {missing} of {len(runs)} runs are missing")
        return group_replicates(runs)

    def _delta_row(self, chosen: str, rejected: str, dimension: str) -> Row:
        for row in self.context.deltas:
            key = (row["chosen"], row["rejected"], row["dimension"])
            if key == (chosen, rejected, dimension) and row["delta"] is not None:
                return row
        raise MissingResultError(f"no delta of {chosen} against {rejected} in {dimension}")

    def _mean_overlap(self, sets: dict[str, str]) -> tuple[float, float, float]:
        wanted = {column: self.resolve_one(text) for column, text in sets.items()}
        intervals = []
        for row in self.context.overlaps:
            if all(str(row[column]) == entry for column, entry in wanted.items()):
                if row["overlap"] is None:
                    raise MissingResultError(f"overlap at k = {row['k']}: {row['why']}")
                intervals.append(wilson(row["overlap"] / 100, row["k"]))
        if not intervals:
            raise MissingResultError(f"no overlap of {' and '.join(wanted.values())}")
        value, low, high = (100 * np.mean(np.array(intervals), axis=0)).tolist()
        return value, low, high

    def _contrast(
        self,
        quantity: ScoreDifference | ScoreTrend,
        groups: list[Replicates],
        weights: list[float],
    ) -> Measurement:
        """Measure a weighted sum of scores, in points; questions and seeds are sampled."""
        benchmark_weights: dict[str, float] = {}
        for sign, texts in ((1.0, quantity.domains), (-1.0, quantity.minus_domains)):
            for domain in map(self.resolve_one, texts):
                names = self.context.benchmarks(domain)
                for name in names:
                    weight = benchmark_weights.get(name, 0.0)
                    benchmark_weights[name] = weight + sign / len(texts) / len(names)
        every = [run for replicates in groups for run in replicates]
        for name in benchmark_weights:
            _answer_counts(every, name)  # of the same questions
        tables = [[correct_counts(runs, name) for name in benchmark_weights] for runs in groups]
        contrast = contrast_with_seeds(tables, weights, list(benchmark_weights.values()))
        value, low, high = (100 * part for part in contrast[:3])
        return Measurement(value, low, high, contrast.p, largest_cut(every, benchmark_weights))


def group_replicates(runs: list[Run]) -> list[Replicates]:
    """Group the runs that differ only in the seed."""
    groups: dict[tuple[str, ...], Replicates] = {}
    for run in runs:
        key = tuple(entry for axis, entry in run.axes.items() if axis != SEED)
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def correct_counts(runs: list[Run], benchmark: str) -> CorrectCounts:
    """Return the correct answers as an array of runs x questions."""
    counts = _answer_counts(runs, benchmark)
    # By way of bytes: much faster than from tuples, and no count is above 255.
    rows = [np.frombuffer(bytes(count.correct), dtype=np.uint8) for count in counts]
    return CorrectCounts(np.array(rows), counts[0].samples)


def largest_cut(runs: Iterable[Run], benchmarks: Iterable[str]) -> float | None:
    """Return the largest share of cut answers of these runs on these benchmarks, in percent."""
    names = list(benchmarks)
    scores = [run.result.scores for run in runs if run.result is not None]
    return largest(cut_percent(of_run[name]) for of_run in scores for name in names)


def _answer_counts(runs: list[Run], benchmark: str) -> list[AnswerCounts]:
    """Return the answers of each run. Raises InputError where the questions differ."""
    counts = []
    for run in runs:
        if run.result is None:
            raise MissingResultError(f"{', '.join(run.axes.values())} has not run")
        if benchmark not in run.result.answers:
            raise MissingResultError(
                f"{', '.join(run.axes.values())} has no answers to {benchmark}"
            )
        counts.append(run.result.answers[benchmark])
    if len({(count.samples, len(count.correct)) for count in counts}) > 1:
        raise InputError(
            f"{benchmark}: results with different numbers of questions or samples cannot be "
            "compared; rerun the older ones"
        )
    return counts


def from_interval(value: float, low: float, high: float, threshold: float) -> Measurement:
    """Derive p from a 95% interval: p < 0.05 exactly if the interval excludes `threshold`."""
    distance = value - threshold
    half_width = value - low if distance > 0 else high - value
    if distance == 0 or half_width == 0:
        return Measurement(value, low, high, 1.0 if distance == 0 else 0.0)
    p = 2 * float(special.ndtr(-Z95 * math.fabs(distance) / half_width))
    return Measurement(value, low, high, p)
