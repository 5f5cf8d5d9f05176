"""The quantities that claims are about, from a World: value, 95 % interval and p."""

import math
import re
from typing import NamedTuple

import numpy as np
from scipy import special

from delta.core.errors import InputError
from delta.core.types import Row
from delta.experiments.results import AnswerCounts
from delta.report.context import MODELS, Cell, MissingResultError, ReportContext
from delta.report.paper import Delta, Overlap, Rise, Scores, Side
from delta.stats import contrasts, seeds
from delta.stats.contrasts import CorrectCounts
from delta.stats.intervals import Z95, wilson

Names = dict[str, str]  # what "$name" stands for
Configuration = list[Cell]  # one, or several that differ in a seed only
REFERENCE = re.compile(r"([\w-]+)\.(\w+)(?:\.(first|last))?")
SEED = "seed"
SIDES = {
    "base": {"experiment": MODELS, "name": "$base"},
    "full": {"experiment": "figure-2", "method": "dpo", "chosen": "$chosen"},
}
MEAN = "mean"  # of all dimensions, among the rows of deltas


class Estimate(NamedTuple):
    value: float
    low: float
    high: float
    p: float  # two-sided, not corrected


def resolved(text: str, world: ReportContext, names: Names) -> list[str]:
    """The entries that a word of claims.yaml stands for. NotRun where this profile has none."""
    if text.startswith("$"):
        return [names[text[1:]]]
    if match := REFERENCE.fullmatch(text):
        experiment, axis, end = match.groups()
        entries = world.entries(experiment, axis)
        return entries if end is None else [entries[0 if end == "first" else -1]]
    return [text]


class Evaluator:
    """Reads words of claims.yaml with the profile's own names."""

    def __init__(self, world: ReportContext, names: Names) -> None:
        self.world = world
        self.names = {"base": world.base, "chosen": world.chosen, "rejected": world.rejected}
        self.names |= names

    def of(self, quantity: Scores | Rise | Delta | Overlap, than: float) -> Estimate:
        """NotRun where something is missing, and what."""
        match quantity:
            case Scores():
                return self.scores(quantity)
            case Rise():
                return self.rise(quantity)
            case Delta():
                return self.delta(quantity, than)
            case Overlap():
                return self.overlap(quantity, than)

    def scores(self, quantity: Scores) -> Estimate:
        configurations: list[Configuration] = []
        weights: list[float] = []
        for sign, sides in ((1.0, quantity.ours), (-1.0, quantity.theirs)):
            for side in sides:
                found = self.configurations(side)
                configurations += found
                weights += [sign / len(sides) / len(found)] * len(found)
        return self._contrast(quantity.domains, quantity.against, configurations, weights)

    def rise(self, quantity: Rise) -> Estimate:
        configurations = self.configurations(quantity.along)
        entries = [cells[0].at[quantity.axis] for cells in configurations]
        if len(set(entries)) < 2:
            raise MissingResultError(f"only one {quantity.axis}: nothing to rise over")
        places: list[float]
        if quantity.places == "rank":
            places = np.linspace(0, 1, len(entries)).tolist()
        else:
            places = [float(self._delta_row(name, MEAN)["delta"]) for name in entries]
        weights = contrasts.trend_weights(places)
        return self._contrast(quantity.domains, quantity.against, configurations, weights)

    def delta(self, quantity: Delta, than: float) -> Estimate:
        chosen, rejected, dimension = (
            self.word(text) for text in (quantity.chosen, quantity.rejected, quantity.dimension)
        )
        row = self._delta_row(chosen, dimension, rejected)
        if row["low"] is None:
            raise MissingResultError(f"{chosen} against {rejected}: no interval for one problem")
        return estimate(row["delta"], row["low"], row["high"], than)

    def overlap(self, quantity: Overlap, than: float) -> Estimate:
        """Each of the k pairs is one trial of "also in the other set". Bounds of a mean are the
        means of bounds, and those of a difference the farthest: too wide rather than too narrow."""
        value, low, high = self._shared(quantity.ours)
        if quantity.less is not None:
            other, other_low, other_high = self._shared(quantity.less)
            value, low, high = value - other, low - other_high, high - other_low
        return estimate(value, low, high, than)

    def word(self, text: str) -> str:
        (found,) = resolved(text, self.world, self.names)
        return found

    def configurations(self, side: Side) -> list[Configuration]:
        """The cells of a side, those that differ in nothing but the seed together."""
        at = dict(SIDES[side] if isinstance(side, str) else side)
        experiment = at.pop("experiment")
        wanted = {axis: resolved(text, self.world, self.names) for axis, text in at.items()}
        cells = [
            cell
            for cell in self.world.cells(experiment)
            if all(cell.at.get(axis) in entries for axis, entries in wanted.items())
        ]
        if not cells:
            raise MissingResultError(f"this profile has no such run of {experiment}")
        if lost := sum(cell.result is None for cell in cells):
            raise MissingResultError(f"{experiment}: {lost} of {len(cells)} runs are not there")
        return without_seeds(cells)

    def _delta_row(self, chosen: str, dimension: str, rejected: str | None = None) -> Row:
        wanted = (chosen, rejected or self.world.rejected, dimension)
        for row in self.world.deltas:
            if (row["chosen"], row["rejected"], row["dimension"]) == wanted:
                if row["delta"] is None:
                    break
                return row
        raise MissingResultError(f"no delta of {wanted[0]} against {wanted[1]} in {dimension}")

    def _shared(self, words: dict[str, str]) -> tuple[float, float, float]:
        wanted = {column: self.word(text) for column, text in words.items()}
        found = []
        for row in self.world.overlaps:
            if all(str(row[column]) == entry for column, entry in wanted.items()):
                if row["overlap"] is None:
                    raise MissingResultError(f"overlap at k = {row['k']}: {row['why']}")
                found.append(wilson(row["overlap"] / 100, row["k"]))
        if not found:
            raise MissingResultError(f"no overlap of {' and '.join(wanted.values())}")
        mean = 100 * np.mean(np.array(found), axis=0)
        return float(mean[0]), float(mean[1]), float(mean[2])

    def _contrast(
        self,
        domains: list[str],
        against: list[str],
        configurations: list[Configuration],
        weights: list[float],
    ) -> Estimate:
        """In points. Questions are chance, and so are seeds where there are several."""
        parts: dict[str, float] = {}  # benchmark → its weight in the means over domains
        for sign, words in ((1.0, domains), (-1.0, against)):
            for domain in map(self.word, words):
                names = self.world.benchmarks(domain)
                for name in names:
                    parts[name] = parts.get(name, 0.0) + sign / len(words) / len(names)
        for name in parts:
            _same_questions([cell for cells in configurations for cell in cells], name)
        tables = [[answers(cells, name) for name in parts] for cells in configurations]
        found = seeds.contrast_across(tables, weights, list(parts.values()))
        return Estimate(100 * found.value, 100 * found.low, 100 * found.high, found.p)


def without_seeds(cells: list[Cell]) -> list[Configuration]:
    """Cells that differ in nothing but the seed are one configuration."""
    grouped: dict[tuple[str, ...], Configuration] = {}
    for cell in cells:
        key = tuple(entry for axis, entry in cell.at.items() if axis != SEED)
        grouped.setdefault(key, []).append(cell)
    return list(grouped.values())


def answers(cells: list[Cell], benchmark: str) -> CorrectCounts:
    """A row for each cell."""
    found = [_answered(cell, benchmark) for cell in cells]
    # By way of bytes: much faster than from tuples, and no count is above 255.
    rows = [np.frombuffer(bytes(one.correct), dtype=np.uint8) for one in found]
    return CorrectCounts(np.array(rows), found[0].samples)


def _same_questions(cells: list[Cell], benchmark: str) -> None:
    found = [_answered(cell, benchmark) for cell in cells]
    if len({(one.samples, len(one.correct)) for one in found}) > 1:
        raise InputError(
            f"{benchmark}: results with different numbers of questions or samples cannot be "
            "compared; run the older ones again"
        )


def _answered(cell: Cell, benchmark: str) -> AnswerCounts:
    if cell.result is None:
        raise MissingResultError(f"{', '.join(cell.at.values())} has not run")
    if benchmark not in cell.result.answers:
        raise MissingResultError(f"{', '.join(cell.at.values())} was not asked {benchmark}")
    return cell.result.answers[benchmark]


def estimate(value: float, low: float, high: float, than: float) -> Estimate:
    """From a 95 % interval alone: p is below 0.05 exactly where the interval leaves out `than`."""
    apart = value - than
    half = value - low if apart > 0 else high - value
    if apart == 0 or half == 0:
        return Estimate(value, low, high, 1.0 if apart == 0 else 0.0)
    return Estimate(value, low, high, 2 * float(special.ndtr(-Z95 * math.fabs(apart) / half)))
