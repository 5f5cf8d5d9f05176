"""Simulate pages of trainings that are truly alike: how often does a rule decide wrongly?

    python -m bench.false_verdicts    # a minute; every run prints the same figures

A page has seven configurations of three seeds, one of a single seed, and a base, all with the same
true score in each of three domains. Trainings differ by their seeds, each run suits some questions
more than others, and answers are sampled. Each claim is put where it is hardest to decide: the
truth is the threshold, or the margin. Then "holds" and "does not hold" are both wrong.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench import results
from delta.stats.contrasts import Contrast, CorrectCounts, trend_weights
from delta.stats.one_sided import Rule, StudentT, rule_ps
from delta.stats.seeds import SeedVariance, contrast_with_seeds, pool_seed_variance

SEED_POINTS = (0.0, 0.5, 1.0, 2.0, 3.0)  # standard deviations between seeds
# Domain → score, questions and answers to each, of its benchmarks.
DOMAINS = {
    "easy": [(0.7, 300, 1)],
    "hard": [(0.4, 300, 1)],
    "other tasks": [(0.3, 150, 1), (0.1, 30, 16)],
}
SPREAD = 1.0  # of Beta(score / spread, (1 - score) / spread): most questions are nearly decided
OWN = 0.5  # log odds: how a question suits one run and not another
SEEDS_OF = [3] * 7 + [1, 1]  # of each configuration; the last is the base
TRAINED = [True] * 8 + [False]
LEVEL = 0.025  # of a one-sided test: that of an end of the 95% interval
MARGIN = 0.02  # of "equivalent" and "not-below"
RULES: tuple[Rule, ...] = ("above", "below", "equivalent", "not-below")

Configurations = list[list[CorrectCounts]]  # by configuration and benchmark


def of(**weights: float) -> list[float]:
    """Return the weights of the nine configurations, of which `c0` is the first."""
    return [weights.get(f"c{place}", 0.0) for place in range(len(SEEDS_OF))]


CONTRASTS = {
    "two policies": of(c0=1, c1=-1),
    "two against two": of(c0=0.5, c1=0.5, c2=-0.5, c3=-0.5),
    "trend": [*trend_weights([0, 1 / 3, 2 / 3, 1]), 0, 0, 0, 0, 0],
    "interaction": of(c3=1, c4=-1, c5=-1, c6=1),
    "policy and base": of(c6=1, c8=-1),
    "single seeds": of(c5=1, c7=-1),
    "single seed and base": of(c7=1, c8=-1),
}


class Rates(NamedTuple):
    """The fractions of claims that are decided wrongly, by contrast and rule."""

    holds: dict[tuple[str, Rule], float]
    refuted: dict[tuple[str, Rule], float]


def simulate_domain(
    benchmarks: Sequence[tuple[float, int, int]], seed_sd: float, chance: np.random.Generator
) -> Configurations:
    """Return the answers of all configurations to one domain."""
    runs = sum(SEEDS_OF)
    of_seeds = chance.normal(0, seed_sd, (runs, 1))
    of_seeds[-1] = 0  # the base
    configurations: Configurations = [[] for _ in SEEDS_OF]
    for score, questions, samples in benchmarks:
        right = true_chances(score, questions, runs, of_seeds, chance)
        rows = np.split(chance.binomial(samples, right), np.cumsum(SEEDS_OF)[:-1])
        for configuration, counts in zip(configurations, rows, strict=True):
            configuration.append(CorrectCounts(counts, samples))
    return configurations


def true_chances(
    score: float,
    questions: int,
    runs: int,
    of_seeds: NDArray[np.float64],
    chance: np.random.Generator,
) -> NDArray[np.float64]:
    """Return run x question. `of_seeds` moves a run's score by so much (a fraction)."""
    easy = chance.beta(score / SPREAD, (1 - score) / SPREAD, questions)
    odds = special.logit(np.clip(easy, 1e-9, 1 - 1e-9))
    odds = odds + chance.normal(0, OWN, (runs, questions))
    right = special.expit(odds)
    slope = (right * (1 - right)).mean()  # of the score by the log odds
    return np.asarray(special.expit(odds + of_seeds / slope))


def measure(
    configurations: Configurations, weights: Sequence[float], pool: SeedVariance | None
) -> Contrast:
    """Return the contrast of the configurations that have a weight."""
    used = [place for place, weight in enumerate(weights) if weight]
    return contrast_with_seeds(
        [configurations[place] for place in used],
        [weights[place] for place in used],
        trained=[pool is not None and TRAINED[place] for place in used],
        seed_variance=pool,
    )


def simulate_page(
    seed_sd: float, chance: np.random.Generator, *, pooled: bool = True
) -> Iterator[tuple[str, Contrast]]:
    """Yield the contrasts of a page, each with the truth 0."""
    for benchmarks in DOMAINS.values():
        configurations = simulate_domain(benchmarks, seed_sd, chance)
        pool = pool_seed_variance(configurations) if pooled else None
        if not pooled:  # one training a side
            configurations = [
                [
                    CorrectCounts(np.asarray(counts.correct)[:1], counts.samples)
                    for counts in answers
                ]
                for answers in configurations
            ]
        for name, weights in CONTRASTS.items():
            yield name, measure(configurations, weights, pool)


def wrong_verdicts(contrast: Contrast, rule: Rule) -> tuple[bool, bool]:
    """Return whether the rule holds and is refuted where the truth is at its bound."""
    centre, error, df = contrast.tested()
    bound = {"above": 0.0, "below": 0.0, "equivalent": MARGIN, "not-below": -MARGIN}[rule]
    ps = rule_ps(rule, StudentT(centre + bound, error, df), margin=MARGIN)
    # "equivalent" is refuted on two sides, so its p is compared with twice the level.
    refuted = ps.refuted < (2 * LEVEL if rule == "equivalent" else LEVEL)
    return ps.holds < LEVEL, refuted


def false_rates(seed_points: float, pages: int, *, pooled: bool = True) -> Rates:
    """Return how often each claim is decided wrongly."""
    chance = np.random.default_rng(1)
    wrong: dict[tuple[str, Rule], list[tuple[bool, bool]]] = {}
    for _ in range(pages):
        for name, contrast in simulate_page(seed_points / 100, chance, pooled=pooled):
            for rule in RULES:
                wrong.setdefault((name, rule), []).append(wrong_verdicts(contrast, rule))
    means = {key: np.mean(values, axis=0) for key, values in wrong.items()}
    return Rates(
        {key: float(mean[0]) for key, mean in means.items()},
        {key: float(mean[1]) for key, mean in means.items()},
    )


def by_rule(rates: dict[tuple[str, Rule], float]) -> dict[Rule, float]:
    """Return the mean rate of each rule over the contrasts."""
    return {
        rule: float(np.mean([rate for (_, of_rule), rate in rates.items() if of_rule == rule]))
        for rule in RULES
    }


def main() -> None:
    results.argument_parser(__doc__).parse_args()
    print('False "holds" / false "does not hold", mean over contrasts and domains (the worst):\n')
    print(f"| seeds' sd | noise of seeds | {' | '.join(RULES)} |\n|---|---|{'---|' * len(RULES)}")
    for points in SEED_POINTS:
        for pooled in (True, False):
            rates = false_rates(points, 150, pooled=pooled)
            means = [by_rule(part) for part in rates]
            worst = [
                {rule: max(r for (_, of), r in part.items() if of == rule) for rule in RULES}
                for part in rates
            ]
            cells = [
                f"{means[0][rule]:.1%} / {means[1][rule]:.1%} "
                f"({worst[0][rule]:.1%} / {worst[1][rule]:.1%})"
                for rule in RULES
            ]
            name = "pooled" if pooled else "left out"
            print(f"| {points:g} points | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
