"""Measure how far one way to select pairs is below the best one, over domains and sizes."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from delta.report.claims.contrast import (
    Combination,
    Measured,
    Replicates,
    SeedNoise,
    add,
    combination,
    correct_counts,
    measure,
)
from delta.report.context import SEED, NotTestableError
from delta.stats.one_sided import StudentT

Cell = tuple[int, tuple[str, ...]]  # domain, entries of the other axes


class Regret:
    """The score of `entry` less that of the best entry of `axis`, on average over cells; at most 0.

    The best entry of a cell is the one of the best measured score, by luck too, so the regret is
    measured too large rather than too small: a small one is sure to be small. That it is large is
    tested against each other entry alone, on average over the cells, corrected for their number.
    Raises NotTestableError where no cell has `entry` and another one.
    """

    def __init__(
        self,
        groups: Sequence[Replicates],
        axis: str,
        entry: str,
        benchmarks: Sequence[Mapping[str, float]],
        left_out: tuple[str, ...],
    ) -> None:
        self.left_out = left_out
        cells: dict[Cell, dict[str, Replicates]] = {}
        for domain in range(len(benchmarks)):
            for runs in groups:
                rest = tuple(e for a, e in runs[0].axes.items() if a not in (axis, SEED))
                cells.setdefault((domain, rest), {})[runs[0].axes[axis]] = runs
        complete = {cell: runs for cell, runs in cells.items() if entry in runs and len(runs) > 1}
        if not complete:
            raise NotTestableError(left_out[0] if left_out else f"nothing to compare {entry} with")
        self.to_best: Combination = {}  # the best of the others, where it is behind too
        self.against: dict[str, Combination] = {}  # each other entry
        self.lead = 0.0  # by which `entry` is ahead of all others, in cells where it is
        share = 1 / len(complete)
        for (domain, _), by_entry in complete.items():
            weights = benchmarks[domain]
            scores = {name: _score(runs, weights) for name, runs in by_entry.items()}
            others = [name for name in by_entry if name != entry]
            best = max(others, key=lambda name: scores[name])
            self.lead += share * max(0.0, scores[entry] - scores[best])
            for name in others:
                sides = [(by_entry[entry], True, share), (by_entry[name], True, -share)]
                below = combination(sides, weights)
                self.against[name] = add(self.against.get(name, {}), below)
                if name == best:
                    self.to_best = add(self.to_best, below)

    def tests(self, noise: SeedNoise, gain: Combination) -> "RegretTests":
        """Return the tests of the regret against shares of a gain."""
        return RegretTests(self, noise, gain)


class RegretTests(NamedTuple):
    """The tests of a regret; the bounds are shares of a gain."""

    regret: Regret
    noise: SeedNoise
    gain: Combination

    def p_above(self, bound: float) -> float:
        """Return the p of "it is at least so far below the best"."""
        measured = self._less(self.regret.to_best, bound).contrast.tested()
        return shifted(measured, self.regret.lead).p_above(0.0)

    def p_below(self, bound: float) -> float:
        """Return the p of "it is not so far below any other entry"."""
        others = self.regret.against.values()
        smallest = min(self._less(other, bound).contrast.p_below(0.0) for other in others)
        return min(1.0, len(others) * smallest)

    def _less(self, combined: Combination, share: float) -> Measured:
        return measure(add(combined, self.gain, -share), self.noise)


def shifted(tested: StudentT, lead: float) -> StudentT:
    """Return the distribution without the cells' leads, which make up for no regret elsewhere."""
    return tested._replace(centre=tested.centre - lead)


def _score(runs: Replicates, weights: Mapping[str, float]) -> float:
    counts = {name: correct_counts(runs, name) for name in weights}
    means = {name: float(np.asarray(c.correct).mean()) / c.samples for name, c in counts.items()}
    return sum(weight * means[name] for name, weight in weights.items())
