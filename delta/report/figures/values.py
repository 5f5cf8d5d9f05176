"""Compute scores and gains of the figures, in percent and points, over questions and seeds."""

from collections.abc import Mapping

from delta.core.types import Row
from delta.report.claims.contrast import (
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
from delta.stats.seeds import SeedScore, SeedVariance, score_with_seeds


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
        score = None
        if _answered(runs, weights):
            tables = [correct_counts(runs, name) for name in weights]
            score = score_with_seeds(tables, self._seed_variance(runs, weights))
        return _interval("score", score) | _about(runs, score, weights)

    def gain(self, domain: str, runs: Replicates) -> Row:
        """Return gain over the base, low, high, cut and seeds, as `score`."""
        weights = self._weights(domain)
        gain = None
        if _answered([*runs, *self.base], weights):
            trained = self._seed_variance(runs, weights) is not None
            parts = [(runs, trained, 1.0), (self.base, False, -1.0)]
            gain = measure(combination(parts, weights), self.noise).contrast
        return _interval("gain", gain) | _about(runs, gain, weights, self.base)

    def base_score(self, domain: str) -> Row:
        """Return the score of the base and the largest share of its answers that were cut."""
        weights = self._weights(domain)
        score = score_with_seeds([correct_counts(self.base, name) for name in weights])
        return {"base": percent(score.value), "base_cut": largest_cut(self.base, weights)}

    def spread(self, domain: str, runs: Replicates) -> float | None:
        """Return the standard deviation of the seeds' scores in points; None for fewer than two."""
        names = self._weights(domain)
        if not _answered(runs, names):
            return None
        spread = score_with_seeds([correct_counts(runs, name) for name in names]).between_seeds
        return None if spread is None else percent(spread)

    def _weights(self, domain: str) -> dict[str, float]:
        names = self.context.benchmarks(domain)
        return dict.fromkeys(names, 1 / len(names))

    def _seed_variance(self, runs: Replicates, weights: Mapping[str, float]) -> SeedVariance | None:
        try:
            return self.noise.variance(runs, weights)[1]
        except MissingResultError:
            return None


def _answered(runs: Replicates, benchmarks: Mapping[str, float]) -> bool:
    """Return whether there are runs, and all have answers to these benchmarks."""
    results = [run.result for run in runs]
    return bool(results) and all(
        result is not None and all(name in result.answers for name in benchmarks)
        for result in results
    )


def _about(
    runs: Replicates,
    value: Contrast | SeedScore | None,
    weights: Mapping[str, float],
    base: Replicates | None = None,
) -> Row:
    cut = None if value is None else largest_cut([*runs, *(base or [])], weights)
    return {"cut": cut, "seeds": len(runs)}


def _interval(name: str, value: Contrast | SeedScore | None) -> Row:
    """Return a value and its bounds in percent."""
    if value is None:
        return dict.fromkeys((name, "low", "high"))
    numbers = (round(100 * number, 2) for number in value[:3])
    return dict(zip((name, "low", "high"), numbers, strict=True))
