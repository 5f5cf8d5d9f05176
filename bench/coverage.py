"""Simulate how often 95% intervals contain the truth and how often tests reject wrongly.

    python -m bench.coverage    # a minute; every run prints the same figures

Questions are a random sample: each has a probability of a correct answer, drawn from a Beta
distribution, and every run of a policy moves it. The truth is the mean over the whole population of
questions (and of seeds). Half of the Beta distributions are so wide that most questions are nearly
always answered correctly or nearly never, as in real benchmarks.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bench import results
from delta.stats import rank_correlation
from delta.stats.contrasts import (
    Contrast,
    CorrectCounts,
    contrast,
    group_terms,
    trend_weights,
)
from delta.stats.intervals import Interval, effective_n_wilson, group_mean
from delta.stats.seeds import SeedScore, contrast_with_seeds, score_with_seeds

Chances = NDArray[np.float64]  # runs × questions
RUNS = 1_500
SPREADS = (0.2, 0.5, 1.0, 2.0)  # of Beta(rate / spread, (1 - rate) / spread)
INDEPENDENT = 0.5  # how much a question suits one run and not another, in log odds


class Row(NamedTuple):
    kind: str
    setting: str
    covered: float
    rejected: float | None  # where the truth is 0


class Benchmark(NamedTuple):
    rate: float
    questions: int
    samples: int


class Effects(NamedTuple):
    """Effects of the runs, in log odds of a correct answer."""

    moves: Sequence[float]  # of each run
    own: float = INDEPENDENT  # standard deviation of how a question suits one run only
    seed: float = 0.0  # standard deviation between seeds, one a run


NO_EFFECT = Effects([0.0], own=0.0)


def chances(
    effects: Effects, rate: float, spread: float, questions: int, chance: np.random.Generator
) -> Chances:
    easy = chance.beta(rate / spread, (1 - rate) / spread, questions)
    count = len(effects.moves)
    if effects == Effects([0.0] * count, own=0.0):
        return np.tile(easy, (count, 1))
    odds = special.logit(np.clip(easy, 1e-9, 1 - 1e-9)) + np.asarray(effects.moves)[:, None]
    odds = odds + chance.normal(0, effects.seed, (count, 1))
    odds = odds + chance.normal(0, effects.own, (count, questions))
    return np.asarray(special.expit(odds))


def true_scores(effects: Effects, rate: float, spread: float) -> list[float]:
    """Return each run's score over the whole population of questions and seeds."""
    own = float(np.hypot(effects.own, effects.seed))

    def true_score(move: float) -> float:
        if own == move == 0:
            return rate
        chance = np.random.default_rng(0)  # the same questions for every run
        return float(chances(Effects([move], own), rate, spread, 200_000, chance).mean())

    by_move = {move: true_score(move) for move in set(effects.moves)}
    return [by_move[move] for move in effects.moves]


class SimulatedRuns(NamedTuple):
    answers: list[CorrectCounts]  # one a benchmark
    truths: NDArray[np.float64]  # each run's mean over the benchmarks


def simulate_runs(effects: Effects, benchmarks: Sequence[Benchmark]) -> Iterator[SimulatedRuns]:
    chance = np.random.default_rng(1)
    truths = {
        spread: np.mean([true_scores(effects, b.rate, spread) for b in benchmarks], axis=0)
        for spread in SPREADS
    }
    for number in range(RUNS):
        spread = SPREADS[number % len(SPREADS)]
        answers = []
        for rate, questions, samples in benchmarks:
            right = chances(effects, rate, spread, questions, chance)
            answers.append(CorrectCounts(chance.binomial(samples, right), samples))
        yield SimulatedRuns(answers, truths[spread])


def covers(interval: Interval | Contrast | SeedScore, truth: float) -> bool:
    return interval.low - 1e-12 <= truth <= interval.high + 1e-12


def question_interval(answers: CorrectCounts) -> Interval:
    fractions = np.asarray(answers.correct)[0] / answers.samples
    return effective_n_wilson(fractions.tolist(), fractions.size * answers.samples)


def name(benchmarks: Sequence[Benchmark]) -> str:
    return ", ".join(
        f"{rate:.0%} of {questions}" + (f" avg@{samples}" if samples > 1 else "")
        for rate, questions, samples in benchmarks
    )


def pass_at_1(rate: float, questions: int) -> Row:
    """Return the row for true rates within 20% of `rate` (or of 1 - rate, if that is smaller).

    At a single rate the coverage would jump with the number of questions, because few counts are
    possible.
    """
    chance = np.random.default_rng(1)
    truths = rate + np.linspace(-0.2, 0.2, RUNS) * min(rate, 1 - rate)
    spreads = np.resize(SPREADS, (RUNS, 1))
    means = truths[:, None]
    easy = chance.beta(means / spreads, (1 - means) / spreads, (RUNS, questions))
    hits = [
        covers(effective_n_wilson(row.tolist(), questions), truth)
        for row, truth in zip(chance.binomial(1, easy), truths, strict=True)
    ]
    return Row("pass@1", f"{rate:.0%} of {questions}", float(np.mean(hits)), None)


def avg_at_k(benchmark: Benchmark) -> Row:
    hits = [
        covers(question_interval(runs.answers[0]), runs.truths[0])
        for runs in simulate_runs(NO_EFFECT, [benchmark])
    ]
    return Row("avg@k", name([benchmark]), float(np.mean(hits)), None)


def all_or_nothing(rate: float, questions: int, exception: float) -> Row:
    """Return the row of questions that are solved with the chance `exception` or 1 - `exception`.

    Each has 16 answers; `rate` is the score.
    """
    chance = np.random.default_rng(1)
    solved = chance.random((RUNS, questions)) < (rate - exception) / (1 - 2 * exception)
    counts = chance.binomial(16, np.where(solved, 1 - exception, exception))
    hits = [covers(effective_n_wilson((row / 16).tolist(), 16 * questions), rate) for row in counts]
    setting = f"{rate:.0%} of {questions} avg@16, {exception:.1%} exceptions"
    return Row("all or nothing", setting, float(np.mean(hits)), None)


def group_score(benchmarks: Sequence[Benchmark]) -> Row:
    hits = [
        covers(group_mean([question_interval(answers) for answers in runs.answers]), runs.truths[0])
        for runs in simulate_runs(NO_EFFECT, benchmarks)
    ]
    return Row("group mean", name(benchmarks), float(np.mean(hits)), None)


def contrast_row(
    kind: str, weights: Sequence[float], effects: Effects, benchmarks: Sequence[Benchmark]
) -> Row:
    same = len(set(effects.moves)) == 1
    results = []
    for runs in simulate_runs(effects, benchmarks):
        truth = 0.0 if same else float(np.dot(weights, runs.truths))
        result = contrast(group_terms(runs.answers, weights))
        results.append((covers(result, truth), result.p < 0.05))
    covered, rejected = np.mean(results, axis=0)
    return Row(kind, name(benchmarks), float(covered), float(rejected) if same else None)


def seed_score(num_seeds: int, seed: float, benchmarks: Sequence[Benchmark]) -> Row:
    effects = Effects([0.0] * num_seeds, seed=seed)
    hits = [
        covers(score_with_seeds(runs.answers), runs.truths.mean())
        for runs in simulate_runs(effects, benchmarks)
    ]
    setting = f"{num_seeds} seeds (sd {seed:g}), {name(benchmarks)}"
    return Row("seeds", setting, float(np.mean(hits)), None)


def seed_contrast(num_seeds: int, seed: float, benchmarks: Sequence[Benchmark]) -> Row:
    """Return the row of two configurations with equal scores."""
    effects = Effects([0.0] * (2 * num_seeds), seed=seed)
    results = []
    for runs in simulate_runs(effects, benchmarks):
        ours, theirs = (
            [
                CorrectCounts(np.asarray(counts.correct)[side], counts.samples)
                for counts in runs.answers
            ]
            for side in (slice(None, num_seeds), slice(num_seeds, None))
        )
        result = contrast_with_seeds([ours, theirs], [1, -1])
        results.append((covers(result, 0.0), result.p < 0.05))
    covered, rejected = np.mean(results, axis=0)
    setting = f"2 × {num_seeds} seeds (sd {seed:g}), {name(benchmarks)}"
    return Row("seeds, difference", setting, float(covered), float(rejected))


def spearman(points: int, correlation: float) -> Row:
    """Return the row of normal values: Spearman's rho is 6 / π · asin(r / 2) at correlation r."""
    chance = np.random.default_rng(1)
    truth = 6 / np.pi * np.arcsin(correlation / 2)
    hits = []
    for values in chance.normal(size=(RUNS, 2, points)):
        other = correlation * values[0] + np.sqrt(1 - correlation**2) * values[1]
        interval = rank_correlation.spearman(values[0].tolist(), other.tolist())
        if interval.low is not None and interval.high is not None:
            hits.append(interval.low <= truth <= interval.high)
    return Row("Spearman", f"r = {correlation:g}, {points} points", float(np.mean(hits)), None)


def auc(gap: float, problems: int) -> Row:
    """Return the row of four traces per problem, rated 1–5 and correlated within a problem."""
    chance = np.random.default_rng(1)
    hits: list[bool] = []
    truth = _auc(gap, 100_000, chance)[0]
    for _ in range(RUNS):
        hits.append(covers(_auc(gap, problems, chance), truth))
    return Row("AUC", f"{truth:.2f}, {problems} problems", float(np.mean(hits)), None)


def _auc(gap: float, problems: int, chance: np.random.Generator) -> Interval:
    easy = chance.normal(size=(problems, 1))
    right = chance.random((problems, 4)) < special.expit(easy)
    rating = np.clip(
        np.round(3 + 0.5 * easy + gap * right + chance.normal(size=(problems, 4))), 1, 5
    )
    names = [str(number // 4) for number in range(4 * problems)]
    value, low, high = rank_correlation.auc(rating.ravel(), right.ravel(), names)
    assert value is not None
    assert low is not None
    assert high is not None
    return Interval(value, low, high)


PASS_1 = [Benchmark(rate, n, 1) for n in (40, 200, 1_000) for rate in (0.02, 0.3, 0.9)]
AVG_16 = [Benchmark(rate, n, 16) for n in (30, 40) for rate in (0.05, 0.3, 0.9)]
EASY = [Benchmark(0.6, 200, 1), Benchmark(0.8, 200, 1), Benchmark(0.4, 40, 16)]
HARD = [Benchmark(0.25, 200, 1), Benchmark(0.3, 200, 1), *[Benchmark(0.1, 30, 16)] * 2]
SMALL = [Benchmark(0.1, 60, 1), Benchmark(0.05, 60, 1), Benchmark(0.3, 60, 1)]
MIXED = [Benchmark(0.6, 200, 1), Benchmark(0.4, 40, 16)]
GROUPS = (EASY, HARD, SMALL)
NEAR, ALIKE = [0.0, 0.5], Effects([0.0, 0.0], own=0.0)
EXTRAS = (0, 1, 2)
RISING = Effects([0.0, 0.2, 0.4, 0.6])
SETS = Effects([0.3, 0.3, 0.0, 0.0])


def rows() -> Iterator[Row]:
    yield from (pass_at_1(rate, questions) for rate, questions, _ in PASS_1)
    yield from (avg_at_k(benchmark) for benchmark in AVG_16)
    yield from (
        all_or_nothing(rate, questions, exception)
        for rate in (0.1, 0.9)
        for questions in (30, 40)
        for exception in (0.005, 0.02, 0.05)
    )
    yield from (group_score(benchmarks) for benchmarks in GROUPS)
    pair = [-1.0, 1.0]
    yield from (
        contrast_row("difference", pair, Effects(NEAR), [benchmark])
        for benchmark in PASS_1 + AVG_16
    )
    yield from (
        contrast_row("no difference", pair, ALIKE, [benchmark]) for benchmark in PASS_1 + AVG_16
    )
    for benchmarks in GROUPS:
        yield contrast_row("difference, groups", pair, Effects(NEAR), benchmarks)
        yield contrast_row("no difference, groups", pair, ALIKE, benchmarks)
        yield contrast_row("trend", trend_weights([1, 2, 3, 4]), RISING, benchmarks)
        yield contrast_row("no trend", trend_weights([1, 2, 3, 4]), Effects([0.0] * 4), benchmarks)
        yield contrast_row("sets", [0.5, 0.5, -0.5, -0.5], SETS, benchmarks)
    for seed in (0.0, 0.3):
        yield from (seed_score(num_seeds, seed, MIXED) for num_seeds in (2, 3, 5))
        yield seed_contrast(3, seed, MIXED)
    yield from (seed_score(num_seeds, 0.3, [Benchmark(0.7, 500, 1)]) for num_seeds in (2, 3))
    yield from (spearman(points, r) for points in (10, 30) for r in (0.0, 0.8))
    yield from (auc(gap, problems) for problems in (30, 100) for gap in (0.5, 3.0))


def pseudo_answer_rows() -> Iterator[tuple[str, str, list[float]]]:
    """Yield the coverage with no, one and two pseudo-answers: why a contrast adds one."""
    for benchmark in (Benchmark(0.05, 60, 1), Benchmark(0.3, 60, 1), Benchmark(0.1, 40, 16)):
        for effects in (Effects(NEAR), ALIKE):
            covered = []
            for runs in simulate_runs(effects, [benchmark]):
                truth = runs.truths[1] - runs.truths[0]
                counts = np.asarray(runs.answers[0].correct, dtype=np.float64)
                each = (counts[1] - counts[0]) / benchmark.samples
                covered.append(
                    [with_extra(each, benchmark.samples, extra, truth) for extra in EXTRAS]
                )
            kind = "no difference" if effects == ALIKE else "difference"
            yield kind, name([benchmark]), np.mean(covered, axis=0).tolist()


def with_extra(each: NDArray[np.float64], samples: int, extra: float, truth: float) -> bool:
    more = each.size + extra / samples
    shrunk = each.sum() / more
    variance = ((each @ each + extra / samples) / more - shrunk**2) / (more - 1)
    half = special.stdtrit(each.size - 1, 0.975) * np.sqrt(variance)
    return covers(Interval(shrunk, shrunk - half, shrunk + half), truth)


def main() -> None:
    results.argument_parser(__doc__).parse_args()
    print(f"{RUNS:,} simulated runs per row.\n")
    print("| kind | setting | covered | rejected |\n|---|---|---|---|")
    for row in rows():
        rejected = "" if row.rejected is None else f"{row.rejected:.1%}"
        print(f"| {row.kind} | {row.setting} | {row.covered:.1%} | {rejected} |", flush=True)
    print("\nDifferences covered, by pseudo-answers added:\n")
    print("| kind | setting | none | one (ours) | two |\n|---|---|---|---|---|")
    for kind, setting, fractions in pseudo_answer_rows():
        covered = " | ".join(f"{fraction:.1%}" for fraction in fractions)
        print(f"| {kind} | {setting} | {covered} |")


if __name__ == "__main__":
    main()
