"""Answers of a model with the paper's scores, with the noise that bench/power.py assumes.

Every question has a chance of a right answer, of which the share 1 - w of the scores' variance lies
between questions. A training changes it by a standard deviation t over the questions; half of that
variance is common to all trainings, so that two trainings differ by t too. The score changes by the
paper's gain: the truth is as printed, what is measured is not.
"""

import functools
import math

import numpy as np
from numpy.typing import NDArray

from delta.check import Params
from delta.experiments.grid import seed_axes
from delta.experiments.results import AnswerCounts
from delta.plan.pending import max_questions
from delta.report.context import ReportContext
from delta.stats.power import ASSUMED, Noise
from tests.helpers.paper_results import BASE, NUMBERS, paper_context

BASE_SCORES = NUMBERS["table-2"]["scores"][BASE]
NO_SCORE = 50.0  # of a benchmark that the paper does not have


def seeds_of(params: Params) -> int:
    """Return the seeds of each configuration of a profile's figures."""
    figure = params.experiments["figure-1"]
    return math.prod(len(figure.vary[axis]) for axis in seed_axes(figure))


class SimulatedAnswers:
    """Draws the answers of a run: configuration, benchmark, score, questions → answers."""

    def __init__(self, samples: dict[str, int], noise: Noise, seed: int) -> None:
        self._samples = samples
        self._noise = noise
        self._source = np.random.default_rng(seed)
        self._chances = functools.cache(self._draw_chances)
        self._of_base = functools.cache(self._draw_base)
        self._common = functools.cache(self._draw_moves)

    def __call__(
        self, configuration: str, benchmark: str, score: float, questions: int
    ) -> AnswerCounts:
        chances = self._chances(configuration, benchmark, score, questions)
        samples = self._samples[benchmark]
        moved = self._moved(chances, self._source.normal(0.0, self._noise.seed_sd))
        return AnswerCounts(samples, tuple(self._source.binomial(samples, moved).tolist()))

    def _draw_base(self, benchmark: str, questions: int) -> NDArray[np.float64]:
        return self._draw_model(BASE_SCORES.get(benchmark, NO_SCORE) / 100, questions)

    def _draw_model(self, score: float, questions: int) -> NDArray[np.float64]:
        """Return chances of a model; 1 - w of the variance of its answers is between questions."""
        size = self._noise.within / (1 - self._noise.within)
        return self._source.beta(size * score, size * (1 - score), questions)

    def _draw_chances(
        self, configuration: str, benchmark: str, score: float, questions: int
    ) -> NDArray[np.float64]:
        """Return the chances after a training, which are the same for all seeds."""
        base = self._of_base(benchmark, questions)
        if configuration == BASE:
            return base
        if configuration in NUMBERS["table-2"]["scores"]:  # another model, not a training
            return self._draw_model(score, questions)
        moves = self._common(benchmark, questions) + self._draw_moves(benchmark, questions)
        changed = np.clip(base + moves, 0.0, 1.0)
        return self._moved(changed, score - BASE_SCORES.get(benchmark, NO_SCORE) / 100)

    def _draw_moves(self, benchmark: str, questions: int) -> NDArray[np.float64]:
        """Return changes of the variance t² / 2; those of certain questions are smallest."""
        base = self._of_base(benchmark, questions)
        scale = np.sqrt(base * (1 - base))
        sd = self._noise.change / math.sqrt(2 * max((scale**2).mean(), 1e-9))
        return scale * self._source.normal(0.0, sd, questions)

    def _moved(self, chances: NDArray[np.float64], gain: float) -> NDArray[np.float64]:
        """Return the chances after a mean change by `gain`; none where all are 0 or 1."""
        scale = np.sqrt(chances * (1 - chances))
        return np.clip(chances + gain / max(scale.mean(), 1e-9) * scale, 0.0, 1.0)


def simulated_paper(params: Params, seed: int, noise: Noise = ASSUMED) -> ReportContext:
    """Return results at the sizes of a profile: its questions, samples and seeds."""
    sizes = {name: max_questions(benchmark) for name, benchmark in params.benchmarks.items()}
    samples = {name: benchmark.samples for name, benchmark in params.benchmarks.items()}
    questions = {name: size for name, size in sizes.items() if size is not None}
    answers = SimulatedAnswers(samples, noise, seed)
    return paper_context(questions, answers, [0.0] * seeds_of(params))
