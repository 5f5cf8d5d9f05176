"""Scores and gains of the figures, in percent and points, for other questions and other seeds."""

from collections.abc import Mapping

from delta.core.types import Row
from delta.report.claims.contrast import (
    Combination,
    Replicates,
    SeedNoise,
    combination,
    correct_counts,
    group_replicates,
    largest_cut,
    measure,
)
from delta.report.context import DOMAINS, MissingResultError, ReportContext, Run
from delta.report.equal_pairs import merge_equal
from delta.report.scores import percent
from delta.stats.contrasts import Contrast
from delta.stats.seeds import score_with_seeds


class Values:
    """Reads the values of the figures from the results of a context.

    The seeds of a configuration are one value. Its interval has the variance between seeds that all
    configurations of the context share; where none has several seeds, it is for other questions
    alone.
    """

    def __init__(self, context: ReportContext) -> None:
        self.context = context
        self.noise = SeedNoise(context)
        self.base: Replicates = [Run({}, context.models[context.base])]

    def configurations(self, experiment: str) -> list[Replicates]:
        """Return the seeds of each configuration; those that train on equal pairs are one."""
        return merge_equal(group_replicates(self.context.runs(experiment)))

    def available(self, domains: tuple[str, ...]) -> list[str]:
        """Return the domains for which this profile has a benchmark."""
        groups = set(self.context.groups.values())
        return [domain for domain in domains if groups & set(DOMAINS[domain])]

    def score(self, domain: str, runs: Replicates) -> Row:
        """Return score, low, high, cut and seeds; None but for seeds where a run has no result."""
        weights = self._weights(domain)
        contrast = self._measure([(runs, True, 1.0)], weights)
        return _interval("score", contrast, 0.0) | _about(runs, contrast, largest(runs, weights))

    def gain(self, domain: str, runs: Replicates) -> Row:
        """Return gain over the base, low, high, cut and seeds, as `score`."""
        weights = self._weights(domain)
        contrast = self._measure([(runs, True, 1.0), (self.base, False, -1.0)], weights)
        cut = largest([*runs, *self.base], weights)
        return _interval("gain", contrast, None) | _about(runs, contrast, cut)

    def base_score(self, domain: str) -> Row:
        """Return the score of the base and the largest share of its answers that were cut."""
        weights = self._weights(domain)
        score = score_with_seeds([correct_counts(self.base, name) for name in weights])
        return {"base": percent(score.value), "base_cut": largest(self.base, weights)}

    def spread(self, domain: str, runs: Replicates) -> float | None:
        """Return the standard deviation of the seeds' scores in points; None for fewer than two."""
        names = self._weights(domain)
        if any(run.result is None for run in runs):
            return None
        spread = score_with_seeds([correct_counts(runs, name) for name in names]).between_seeds
        return None if spread is None else percent(spread)

    def _weights(self, domain: str) -> dict[str, float]:
        names = self.context.benchmarks(domain)
        return dict.fromkeys(names, 1 / len(names))

    def _measure(
        self, groups: list[tuple[Replicates, bool, float]], weights: Mapping[str, float]
    ) -> Contrast | None:
        if not all(runs and all(run.result is not None for run in runs) for runs, *_ in groups):
            return None
        for seeds_known in (True, False):
            parts: Combination = combination(
                [(runs, trained and seeds_known, weight) for runs, trained, weight in groups],
                weights,
            )
            try:
                return measure(parts, self.noise).contrast
            except MissingResultError:  # of seeds, or of answers to a benchmark
                continue
        return None


def largest(runs: Replicates, benchmarks: Mapping[str, float]) -> float | None:
    """Return the largest share of cut answers of those runs that have answers, in percent."""
    asked = [
        run
        for run in runs
        if run.result is not None and all(name in run.result.scores for name in benchmarks)
    ]
    return largest_cut(asked, benchmarks) if asked else None


def _about(runs: Replicates, contrast: Contrast | None, cut: float | None) -> Row:
    return {"cut": None if contrast is None else cut, "seeds": len(runs)}


def _interval(name: str, contrast: Contrast | None, lowest: float | None) -> Row:
    """Return the value and its bounds in percent, of a score within 0 and 100."""
    if contrast is None:
        return dict.fromkeys((name, "low", "high"))
    value, low, high = (100 * number for number in contrast[:3])
    if lowest is not None:
        low, high = max(lowest, low), min(100.0, high)
    return {name: round(value, 2), "low": round(low, 2), "high": round(high, 2)}
