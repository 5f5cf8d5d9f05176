"""Compute weighted sums of the scores of trainings, with the noise of questions and of seeds.

A configuration is one training or several that differ only in the seed. Every quantity of the
claims is a `Combination`: a weight for each configuration and benchmark. Differences, trends,
interactions and "the quantity less a third of the gain" are all combinations.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from delta.core.errors import InputError
from delta.evaluation.cut_answers import cut_percent, largest
from delta.experiments.results import AnswerCounts, Result
from delta.report.context import (
    SEED,
    MissingResultError,
    NotTestableError,
    ReportContext,
    Run,
)
from delta.stats import contrasts
from delta.stats.contrasts import Contrast, CorrectCounts, Term
from delta.stats.seeds import SeedVariance, add_seed_variance, pool_seed_variance

Replicates = list[Run]  # one run, or several that differ only in the seed
Kind = frozenset[str]  # the parameters in which the seeds of a configuration differ
Key = tuple[str, ...]  # of a configuration: equal for runs of one training
NO_SEEDS = "no training has run with several seeds, so the noise of training is not known"


class WeightedConfiguration(NamedTuple):
    """A configuration in a combination."""

    runs: Replicates
    trained: bool  # another training would give another score: not of a base
    weights: dict[str, float]  # benchmark → weight


Combination = dict[Key, WeightedConfiguration]


class Measured(NamedTuple):
    """A combination's contrast, in fractions, and what it is measured on."""

    contrast: Contrast
    questions: int
    seeds: int  # the fewest of a trained configuration; 0: nothing is trained


def combination(
    groups: Iterable[tuple[Replicates, bool, float]], benchmarks: Mapping[str, float]
) -> Combination:
    """Return the combination of configurations (runs, trained, weight) on the same benchmarks."""
    total: Combination = {}
    for runs, trained, weight in groups:
        weights = {name: weight * factor for name, factor in benchmarks.items()}
        total = add(total, {_key(runs): WeightedConfiguration(runs, trained, weights)})
    return total


def add(first: Combination, second: Combination, factor: float = 1.0) -> Combination:
    """Return `first` plus `factor` times `second`; a configuration of both has one weight."""
    total = dict(first)
    for key, configuration in second.items():
        weights = dict(total[key].weights) if key in total else {}
        for name, weight in configuration.weights.items():
            weights[name] = weights.get(name, 0.0) + factor * weight
        total[key] = configuration._replace(weights=weights)
    return total


class SeedNoise:
    """The variance between training seeds, pooled over the experiments of a context.

    Configurations whose seeds also draw other pairs (random selection) vary more, and are pooled
    apart. Pools are kept, as many claims share one.
    """

    def __init__(self, context: ReportContext) -> None:
        configurations: dict[Key, Replicates] = {}
        for runs in context.experiments.values():
            done = [run for run in runs if run.result is not None]
            for group in group_replicates(done):
                if len(group) > 1:
                    configurations.setdefault(_key(group), group)
        self._by_kind: dict[Kind, list[Replicates]] = {}
        for group in configurations.values():
            self._by_kind.setdefault(_varied(group), []).append(group)
        self._pools: dict[tuple[Kind, tuple[tuple[str, float], ...]], SeedVariance] = {}

    def variance(self, runs: Replicates, weights: Mapping[str, float]) -> tuple[Kind, SeedVariance]:
        """Return the pool of a configuration, and the variance of one seed's weighted score.

        Raises MissingResultError where no configuration has several seeds.
        """
        scale = math.sqrt(math.fsum(weight**2 for weight in weights.values()))
        unit = {name: round(weight / scale, 9) for name, weight in sorted(weights.items())}
        kind = _varied(runs) if len(runs) > 1 else frozenset({"train.seed"})
        if kind not in self._by_kind:  # of older results, which do not say what varied
            kind = next(iter(self._by_kind), kind)
        key = kind, tuple(unit.items())
        if key not in self._pools:
            groups = [group for group in self._by_kind.get(kind, []) if _answered(group, unit)]
            tables = [[correct_counts(group, name) for name in unit] for group in groups]
            pooled = pool_seed_variance(tables, list(unit.values()))
            if pooled is None:
                raise MissingResultError(NO_SEEDS)
            self._pools[key] = pooled
        pool = self._pools[key]
        return kind, SeedVariance(pool.between * scale**2, pool.total * scale**2, pool.df)


def measure(combined: Combination, noise: SeedNoise) -> Measured:
    """Return the contrast of a combination.

    Raises MissingResultError where an answer or the noise of training is not known, and InputError
    for results of different questions.
    """
    present = [
        configuration._replace(weights=weights)
        for configuration in combined.values()
        if (weights := {n: w for n, w in configuration.weights.items() if abs(w) > 1e-12})
    ]
    if not present:
        raise NotTestableError("both sides are the same training")
    names = dict.fromkeys(name for entry in present for name in entry.weights)
    terms = [_term([entry for entry in present if name in entry.weights], name) for name in names]
    trained = [configuration for configuration in present if configuration.trained]
    pools: dict[Kind, SeedVariance] = {}
    for configuration in trained:
        kind, variance = noise.variance(configuration.runs, configuration.weights)
        between, total, _ = pools.get(kind, SeedVariance(0.0, 0.0, variance.df))
        seeds = len(configuration.runs)
        pools[kind] = SeedVariance(
            between + variance.between / seeds, total + variance.total / seeds, variance.df
        )
    contrast = add_seed_variance(contrasts.combine(terms), list(pools.values()))
    questions = sum(np.asarray(term.answers.correct).shape[1] for term in terms)
    return Measured(contrast, questions, min((len(entry.runs) for entry in trained), default=0))


def _term(configurations: list[WeightedConfiguration], benchmark: str) -> Term:
    every = [run for entry in configurations for run in entry.runs]
    answers = correct_counts(every, benchmark)
    weights = [
        entry.weights[benchmark] / len(entry.runs) for entry in configurations for _ in entry.runs
    ]
    return Term(answers, weights)


def _key(runs: Replicates) -> Key:
    return tuple(sorted(_training(run) for run in runs))


def _training(run: Run) -> str:
    """Return what is equal for runs of one training."""
    if run.policy is not None:
        return run.policy
    return run.result.key if isinstance(run.result, Result) else str(id(run.result))


def _varied(runs: Replicates) -> Kind:
    """Return the parameters in which the runs differ."""
    changes = [run.result.changes if isinstance(run.result, Result) else {} for run in runs]
    names = {name for change in changes for name in change}
    return frozenset(n for n in names if len({str(change.get(n)) for change in changes}) > 1)


def _answered(runs: Replicates, benchmarks: Iterable[str]) -> bool:
    return all(name in run.result.answers for run in runs if run.result for name in benchmarks)


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
    return CorrectCounts(np.array([count.array for count in counts]), counts[0].samples)


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
