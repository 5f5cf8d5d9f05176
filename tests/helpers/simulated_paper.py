"""Results that are exactly the paper's numbers, with the noise that delta.stats.power assumes.

Every question has a chance of a right answer; the share 1 - w of the answers' variance lies between
questions. A training changes it by a standard deviation t over the questions. Half of that variance
is common to all trainings, so that two trainings differ by t too. All chances of a configuration
are then moved until its measured score is that of the paper, to one answer: what is left of the
noise is in the errors.
"""

import functools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from delta.check import Params
from delta.experiments.results import AnswerCounts
from delta.plan.pending import max_questions
from delta.plan.power import seeds_of
from delta.report.context import ReportContext
from delta.stats.power import ASSUMED, Noise
from tests.helpers.paper_results import BASE, NUMBERS, paper_context

SCORES = NUMBERS["table-2"]["scores"]
NO_SCORE = 50.0  # of a benchmark that the paper does not have
Floats = NDArray[np.float64]


class SimulatedAnswers:
    """Gives the answers of the trainings of a configuration, one for each call."""

    def __init__(self, samples: dict[str, int], seeds: int, noise: Noise, seed: int) -> None:
        self._samples, self._seeds, self._noise = samples, seeds, noise
        self._source = np.random.default_rng(seed)
        self._trainings = functools.cache(self._draw_trainings)
        self._of_base = functools.cache(self._draw_base)
        self._common = functools.cache(self._draw_changes)

    def __call__(
        self, configuration: str, benchmark: str, score: float, questions: int
    ) -> AnswerCounts:
        return next(self._trainings(configuration, benchmark, score, questions))

    def _draw_trainings(
        self, configuration: str, benchmark: str, score: float, questions: int
    ) -> Iterator[AnswerCounts]:
        samples, chances = self._samples[benchmark], self._of_base(benchmark, questions)
        if configuration in SCORES:  # not trained
            if configuration != BASE:
                chances = self._draw_chances(score, questions)
            spread = np.zeros((1, 1))
        else:
            changes = self._common(benchmark, questions) + self._draw_changes(benchmark, questions)
            chances = np.clip(chances + changes, 0.0, 1.0)
            spread = self._source.normal(0.0, self._noise.seed_sd, (self._seeds, 1))
        correct = self._answer(chances, spread, samples, score)
        return iter([AnswerCounts(samples, tuple(row)) for row in correct.tolist()])

    def _answer(
        self, chances: Floats, spread: Floats, samples: int, score: float
    ) -> NDArray[np.int64]:
        """Return the right answers to each question, seeds x questions, with this score."""
        luck = self._source.random((len(spread), len(chances), samples))
        scale = np.sqrt(chances * (1 - chances)) + 1e-3  # certain questions change least
        scale /= scale.mean()

        def correct(move: float) -> NDArray[np.int64]:
            chances_moved = chances + scale * (move + spread)
            return np.asarray((luck < chances_moved[:, :, None]).sum(axis=2))

        low, high = -2.0, 2.0
        for _ in range(24):
            middle = (low + high) / 2
            if correct(middle).mean() >= score * samples:
                high = middle
            else:
                low = middle
        sides = correct(low), correct(high)
        return min(sides, key=lambda side: abs(side.mean() - score * samples))

    def _draw_base(self, benchmark: str, questions: int) -> Floats:
        return self._draw_chances(SCORES[BASE].get(benchmark, NO_SCORE) / 100, questions)

    def _draw_chances(self, score: float, questions: int) -> Floats:
        """Return evenly spread quantiles of a beta distribution, in random order."""
        size = self._noise.within / (1 - self._noise.within)
        levels = (self._source.permutation(questions) + 0.5) / questions
        return np.asarray(stats.beta.ppf(levels, size * score, size * (1 - score)))

    def _draw_changes(self, benchmark: str, questions: int) -> Floats:
        """Return changes of the variance t² / 2; those of certain questions are smallest."""
        chances = self._of_base(benchmark, questions)
        scale = np.sqrt(chances * (1 - chances))
        sd = self._noise.change / math.sqrt(2 * (scale**2).mean())
        return scale * self._source.normal(0.0, sd, questions)


def simulated_paper(params: Params, seed: int, noise: Noise = ASSUMED) -> ReportContext:
    """Return results at the questions, samples and seeds of a profile."""
    sizes = {name: max_questions(benchmark) for name, benchmark in params.benchmarks.items()}
    questions = {name: size for name, size in sizes.items() if size is not None}
    samples = {name: benchmark.samples for name, benchmark in params.benchmarks.items()}
    seeds = seeds_of(params.experiments["figure-1"])
    answers = SimulatedAnswers(samples, seeds, noise, seed)
    return paper_context(questions, answers, [0.0] * seeds)
