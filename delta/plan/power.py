"""Compute what the comparisons of a profile's experiments can see, before they have run."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from delta.check import Params
from delta.core import paths
from delta.core.errors import InputError
from delta.core.files import read_json
from delta.evaluation.config import baselines
from delta.experiments import results
from delta.experiments.grid import ExperimentParams, expand_grid, seed_axes
from delta.experiments.results import Result
from delta.plan.pending import max_questions
from delta.report.context import DOMAINS, SEED
from delta.report.paper.claims import ScoreDifference, read_claims
from delta.report.paper.numbers import read_numbers
from delta.stats import power
from delta.stats.contrasts import CorrectCounts
from delta.stats.power import (
    ASSUMED,
    GREEDY,
    POLICY_AND_BASE,
    Benchmark,
    Noise,
    SquaredWeights,
)
from delta.stats.seeds import SeedVariance, pool_seed_variance

UNKNOWN_SCORE = 0.5  # of a base that has none yet: the score whose answers vary most
SeedResults = list[Result]  # of one configuration: they differ in the training's seed


class Domain(NamedTuple):
    """The benchmarks of a domain as a profile asks them, and the noise of its comparisons."""

    name: str  # of DOMAINS
    benchmarks: list[Benchmark]
    noise: Noise

    @property
    def questions(self) -> int:
        """Return the questions of all benchmarks."""
        return sum(benchmark.questions for benchmark in self.benchmarks)

    @property
    def answers(self) -> int:
        """Return the answers to all questions."""
        return sum(benchmark.questions * benchmark.samples for benchmark in self.benchmarks)


class PaperDifference(NamedTuple):
    """A difference that the paper prints, and the comparison that would find it."""

    figure: str
    domain: str
    points: float
    weights: SquaredWeights


class AlternativeSizes(NamedTuple):
    """The sizes that would see a difference, each alone; None where no number does."""

    questions: int | None
    samples: int | None
    seeds: int | None


def domains(params: Params, configurations: Iterable[SeedResults] = ()) -> Iterator[Domain]:
    """Yield the domains of a profile. One with an unknown number of questions is left out.

    `configurations` are results of several seeds (`replicates`); the spread of seeds is pooled over
    them, and assumed where there are none.
    """
    measured, scores = list(configurations), base_scores(params)
    for name, groups in DOMAINS.items():
        benchmarks = {b: x for b, x in params.benchmarks.items() if x.group in groups}
        sizes = {b: max_questions(x) for b, x in benchmarks.items()}
        found = [
            Benchmark(scores[b], size, benchmarks[b].samples)
            for b, size in sizes.items()
            if size is not None
        ]
        if found and len(found) == len(sizes):
            noise = ASSUMED if params.evaluation.sampling.temperature else GREEDY
            yield Domain(name, found, _with_seeds(noise, seed_variance(measured, list(sizes))))


def _with_seeds(noise: Noise, variance: SeedVariance | None) -> Noise:
    if variance is None:
        return noise
    return noise._replace(seed_sd=variance.between**0.5, seed_df=variance.df)


def base_scores(params: Params) -> dict[str, float]:
    """Return the score of the base on each benchmark, a fraction.

    It is that of this folder's results; else the paper's, where the base is the paper's; else
    UNKNOWN_SCORE.
    """
    table = read_numbers()["table-2"]
    printed = table["scores"][table["base"]] if params.train.base == table["base"] else {}
    scores = {
        name: printed[name] / 100 if name in printed else UNKNOWN_SCORE
        for name in params.benchmarks
    }
    for base in baselines(params.evaluation.models, params.train.base):
        for name in scores:
            try:
                scores[name] = float(read_json(paths.score(base), base, name)["value"])
            except InputError:  # not evaluated yet
                continue
    return scores


def replicates(
    content: Mapping[str, Any], experiments: Mapping[str, ExperimentParams], folder: Path
) -> Iterator[SeedResults]:
    """Yield the results of each configuration that has several training seeds.

    `content` is all of params.yaml. Seeds that draw other pairs too are left out: they vary more.
    Raises InputError where a result is damaged.
    """
    for name, experiment in experiments.items():
        of_training = [
            axis
            for axis in seed_axes(experiment)
            if all(set(changes) == {"train.seed"} for changes in experiment.vary[axis].values())
        ]
        groups: dict[tuple[str, ...], SeedResults] = {}
        for spec in expand_grid(dict(content), name, experiment) if of_training else ():
            result = results.read(spec.key, folder)
            if result is not None:
                key = tuple(e for axis, e in spec.axes.items() if axis not in of_training)
                groups.setdefault(key, []).append(result)
        yield from (group for group in groups.values() if len(group) > 1)


def seed_variance(
    configurations: Iterable[SeedResults], benchmarks: list[str]
) -> SeedVariance | None:
    """Return the pooled variance between seeds of a mean over benchmarks; None if not measured."""
    return pool_seed_variance(
        [
            [_correct_counts(group, name) for name in benchmarks]
            for group in configurations
            if all(name in result.answers for result in group for name in benchmarks)
        ]
    )


def _correct_counts(group: SeedResults, benchmark: str) -> CorrectCounts:
    answers = [result.answers[benchmark] for result in group]
    return CorrectCounts(np.array([counts.array for counts in answers]), answers[0].samples)


def seeds_of(experiment: ExperimentParams) -> int:
    """Return how many seeds train each configuration of an experiment."""
    return len(experiment.vary.get(SEED, {"": {}}))


def figures_by_seeds(params: Params) -> dict[int, list[str]]:
    """Return the experiments that train, by their number of seeds."""
    found: dict[int, list[str]] = {}
    for name, experiment in params.experiments.items():
        if experiment.vary:
            found.setdefault(seeds_of(experiment), []).append(name)
    return found


def paper_differences() -> list[PaperDifference]:
    """Return the smallest difference that the paper prints for each figure and domain.

    Only differences of trainings, from each other or from the base. One that the paper prints as
    "not below" is none.
    """
    smallest: dict[tuple[str, str], PaperDifference] = {}
    for claim in read_claims():
        quantity, value = claim.quantity, claim.paper_value
        if not isinstance(quantity, ScoreDifference) or value is None or claim.rule == "not-below":
            continue
        values = value.values() if isinstance(value, dict) else [value]
        of_base = quantity.baseline == ["base"]
        weights = SquaredWeights(
            1 / len(quantity.runs) + (0 if of_base else 1 / len(quantity.baseline)), float(of_base)
        )
        if claim.family.startswith("figure") and not quantity.minus_domains:
            for domain in quantity.domains:
                points = min(map(abs, values))
                _keep(smallest, PaperDifference(claim.family, domain, points, weights))
    for domain, points in read_numbers()["figure-4"]["gain_of_1000"].items():
        _keep(smallest, PaperDifference("figure-4", domain, points, POLICY_AND_BASE))
    order = list(DOMAINS)
    return sorted(smallest.values(), key=lambda d: (d.figure, order.index(d.domain)))


def _keep(smallest: dict[tuple[str, str], PaperDifference], found: PaperDifference) -> None:
    key = found.figure, found.domain
    if key not in smallest or found.points < smallest[key].points:
        smallest[key] = found


def seen(domain: Domain, seeds: int, weights: SquaredWeights) -> float:
    """Return the smallest difference that is seen, in points."""
    return 100 * power.smallest_difference(domain.benchmarks, domain.noise, seeds, weights)


def alternative_sizes(
    domain: Domain, seeds: int, weights: SquaredWeights, points: float
) -> AlternativeSizes:
    """Return the questions, the answers to each, or the seeds that would see a difference."""
    sizes = domain.benchmarks, domain.noise
    questions = power.questions_for(points / 100, *sizes, seeds, weights)
    return AlternativeSizes(
        None if questions is None else sum(questions),
        power.samples_for(points / 100, *sizes, seeds, weights),
        power.seeds_for(points / 100, *sizes, weights),
    )
