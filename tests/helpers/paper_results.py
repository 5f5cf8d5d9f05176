"""A report context in which every result is as in the paper.

It uses the numbers that the paper prints and, where it prints none, numbers that fit its text.
Answers are derived from scores: of 2,000 questions a run answers the easiest ones correctly, so
runs are paired and intervals narrow. Gains are in points over the base. Every training has three
seeds, whose gains differ by SEED_STEPS.
"""

import functools
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from delta.core.types import Row
from delta.experiments.results import AnswerCounts, Result
from delta.judging.rubric import DIMENSIONS
from delta.report.context import (
    GeneratorFacts,
    ModelScores,
    Provenance,
    ReportContext,
    Run,
)
from delta.report.paper.numbers import read_numbers
from delta.stats.intervals import wilson
from tests.helpers.this_run import example_run

NUMBERS = read_numbers()
BASE = NUMBERS["table-2"]["base"]
WEAK, FULL = "s1-3b", "s1-32b"
CHOSEN = ("s1-7b", "s1-14b", "nemotron-4b", "nemotron-8b", "s1-32b", "nemotron-49b")
GROUPS = {
    "math-500": "easy",
    "gsm8k": "easy",
    "amc23": "easy",
    "minerva": "hard",
    "olympiadbench": "hard",
    "aime24": "hard",
    "aime25": "hard",
    "mmlu-pro": "stem",
    "theoremqa": "stem",
    "gpqa-diamond": "other",
    "livecodebench": "code",
}
SAMPLES = {"amc23": 16, "aime24": 16, "aime25": 16}
QUESTIONS = dict.fromkeys(GROUPS, 2_000)
REAL_SIZES = {
    "math-500": 500,
    "gsm8k": 1319,
    "amc23": 40,
    "minerva": 272,
    "olympiadbench": 674,
    "aime24": 30,
    "aime25": 30,
    "mmlu-pro": 12032,
    "theoremqa": 747,
    "gpqa-diamond": 198,
    "livecodebench": 880,
    "humaneval": 164,
}

# easy, hard, STEM, code
Gains = tuple[float, float, float, float]
FIGURE_1: dict[tuple[str, str], Gains] = {
    ("sft", "weak"): (-4.0, -9.0, -2.0, -1.5),
    ("sft", "strong"): (0.8, 2.4, 0.5, 0.4),
    ("dpo", "weak"): (1.6, 3.0, 0.4, 0.5),
    ("dpo", "strong"): (1.7, 3.2, 0.6, 0.7),
}
DPO_STEM = (0.2, 0.6, 0.8, 1.0, 1.3, 1.7)
DPO_CODE = (0.5, 1.3, 2.0, 2.6, 3.3, 4.1)
# Math: the base at "∼71.1", the best at 73.0 and the worst at 71.9; STEM as printed over 56.65.
FIGURE_3: dict[str, Gains] = {
    "correct-incorrect": (1.9, 1.9, 57.26 - 56.65, 0.6),
    "correct-correct": (1.5, 1.5, 56.72 - 56.65, 0.1),
    "incorrect-incorrect": (0.8, 0.8, 57.09 - 56.65, 0.4),
    "incorrect-correct": (1.2, 1.2, 56.63 - 56.65, 0.1),
}
FIGURE_4: dict[str, tuple[Gains, Gains, Gains]] = {
    "step_coherence": ((2.0, 2.32, 0.65, 0.5), (2.1, 3.2, 1.2, 0.9), (2.2, 3.7, 1.4, 1.4)),
    "strategy_coherence": ((1.6, 1.8, 0.845, 0.5), (1.7, 2.3, 1.0, 0.8), (1.8, 3.4, 1.2, 1.2)),
    "factuality": ((1.6, 1.8, 0.6, 0.4), (1.7, 2.4, 0.9, 0.8), (1.8, 3.35, 1.1, 1.1)),
    "computational_precision": (
        (1.65, 1.85, 0.6, 0.4),
        (1.7, 2.4, 0.95, 0.8),
        (1.8, 3.4, 1.15, 1.1),
    ),
    "signal_to_noise": ((1.5, 1.8, 0.6, 0.3), (1.6, 2.4, 0.8, 0.7), (1.7, 3.3, 1.05, 1.0)),
}
TOP: Gains = (1.9, 2.2, 0.75, 0.5)  # the smallest set, by the mean delta
SEEDS = ("1", "2", "3")
SEED_STEPS = (-0.05, 0.0, 0.05)
SIZES = ("1000", "2500", "5000")
OVERLAPS = {"1000": 45.0, "2500": 60.0, "5000": 74.0}  # where the paper prints none
GROUP_ORDER = ("easy", "hard", "stem", "code", "other")
# configuration, benchmark, its score as a fraction, questions → the answers of one training
AnswerQuestions = Callable[[str, str, float, int], AnswerCounts]


def trained_result(
    gains: Gains,
    questions: dict[str, int],
    configuration: str,
    seeds: dict[str, Any],
    answer: AnswerQuestions,
) -> Result:
    by_group = dict(zip(GROUP_ORDER, (*gains, 0.0), strict=True))
    scores = {
        name: (NUMBERS["table-2"]["scores"][BASE].get(name, 50.0) + by_group[group]) / 100
        for name, group in _groups(questions).items()
    }
    answers = {
        name: answer(configuration, name, score, questions[name]) for name, score in scores.items()
    }
    name = f"{configuration}-{seeds['train.seed']}"
    return Result(
        key=name,
        name=f"run-{name}",
        changes=seeds,
        commit="a" * 40,
        date="2026-11-21",
        seconds=60,
        counts={},
        scores=score_answers(answers),
        answers=answers,
    )


def answer_easiest(_: str, benchmark: str, score: float, questions: int) -> AnswerCounts:
    """Return answers with this score; a better run is correct wherever a worse one is."""
    return answer_counts(benchmark, score, questions)


@functools.cache
def answer_counts(name: str, score: float, questions: int) -> AnswerCounts:
    """Return the answers of `answer_easiest`, which every configuration has."""
    samples = SAMPLES.get(name, 1)
    levels = (np.random.default_rng(len(name)).permutation(questions) + 0.5) / questions
    return AnswerCounts(samples, tuple(np.floor(samples * score + levels).astype(int).tolist()))


def score_answers(answers: dict[str, AnswerCounts]) -> dict[str, dict[str, Any]]:
    scores = {}
    for name, counts in answers.items():
        n = len(counts.correct)
        interval = wilson(sum(counts.correct) / n / counts.samples, n)
        numbers = {"n": n, "samples": counts.samples, "ungradable": 0, "truncated": 0}
        scores[name] = interval._asdict() | numbers
    return scores


def _groups(questions: dict[str, int]) -> dict[str, str]:
    return {name: GROUPS.get(name, "other") for name in questions}


def seeded(
    experiment: str,
    axes: dict[str, str],
    gains: Gains,
    questions: dict[str, int],
    answer: AnswerQuestions,
    steps: Sequence[float],
) -> list[Run]:
    """Return the trainings of a configuration, of one seed for each of `steps`.

    Their gains are `gains` less these steps, in points. The seeds of `random` draw the pairs too.
    """
    runs = []
    for number, step in enumerate(steps, start=1):
        seed = str(number)
        seeds = {"train.seed": int(seed)}
        if experiment == "random":
            seeds["selector.seed"] = int(seed)
        name = "-".join((experiment, *axes.values()))
        result = trained_result(_less(gains, step), questions, name, seeds, answer)
        runs.append(Run(axes | {"seed": seed}, result))
    return runs


def paper_context(
    questions: dict[str, int] = QUESTIONS,
    answer: AnswerQuestions = answer_easiest,
    steps: Sequence[float] = SEED_STEPS,
) -> ReportContext:
    """Return the context; `steps` are what the seeds' gains lack of the paper's, in points."""

    def runs(experiment: str, gains: Gains, **axes: str) -> list[Run]:
        return seeded(experiment, axes, gains, questions, answer, steps)

    return ReportContext(
        this_run=example_run(_groups(questions), BASE),
        experiments=_figures(runs) | _sets(runs),
        models=_models(questions, answer),
        base=BASE,
        chosen=FULL,
        rejected=WEAK,
        groups=_groups(questions),
        deltas=_deltas(),
        overlaps=_overlaps(),
        analysis={
            "Agreement among votes": [
                {"dimension": name, "traces": 33000, "alpha_ordinal": 0.71, "why": None}
                for name in DIMENSIONS
            ]
        },
        provenance=Provenance(
            "profiles/paper.yaml",
            "a" * 40,
            False,
            "2026-11-21",
            {"nemotron-8b": "54641c1611fcff44fa4865626462445e0a153fc7"},
            {"problems": 16500, "pairs": 16500},
        ),
        generators={name: GeneratorFacts(name, None) for name in (WEAK, *CHOSEN)},
        base_model=BASE,
        weak_pair=("s1-7b", WEAK),
    )


def _figures(runs: Callable[..., list[Run]]) -> dict[str, list[Run]]:
    """Return the trainings of figures 1 to 4; `runs` makes those of a configuration."""
    return {
        "figure-1": [
            run
            for (method, pairs), gains in FIGURE_1.items()
            for run in runs("figure-1", gains, method=method, pairs=pairs)
        ],
        "figure-2": [
            run
            for method, loss in (("dpo", 0.0), ("kto", 0.5))
            for chosen, gains in _by_chosen_generator(loss)
            for run in runs("figure-2", gains, method=method, chosen=chosen)
        ],
        "figure-3": [
            run for pairs, gains in FIGURE_3.items() for run in runs("figure-3", gains, pairs=pairs)
        ],
        "figure-4": [
            run
            for by in DIMENSIONS
            for k, gains in zip(SIZES, FIGURE_4[by], strict=True)
            for run in runs("figure-4", gains, by=by, k=k)
        ],
    }


def _sets(runs: Callable[..., list[Run]]) -> dict[str, list[Run]]:
    """Return the trainings on all pairs and those of the controls."""
    return {
        "random": [
            run
            for place, k in enumerate(SIZES)
            for run in runs("random", _less(FIGURE_4["signal_to_noise"][place], 1.0), k=k)
        ],
        "full": runs("full", (1.98, 3.575, DPO_STEM[4], DPO_CODE[4])),
        "top": runs("top", TOP, by="mean", k="1000"),
        "bottom": runs("bottom", _less(TOP, 1.4), by="mean", k="1000"),
        "length-matched": runs("length-matched", _less(TOP, 1.0), by="mean", k="1000"),
    }


def _by_chosen_generator(loss: float) -> list[tuple[str, Gains]]:
    gains = []
    for place, chosen in enumerate(CHOSEN):
        easy, hard = 1.9 + place / 50, 3.475 + place / 40  # s1-32b: 3.575, so 60.0
        gains.append((chosen, _less((easy, hard, DPO_STEM[place], DPO_CODE[place]), loss)))
    return gains


def _less(gains: Gains, loss: float) -> Gains:
    easy, hard, stem, code = (round(gain - loss, 4) for gain in gains)
    return easy, hard, stem, code


def _models(questions: dict[str, int], answer: AnswerQuestions) -> dict[str, ModelScores]:
    models = {}
    for name in (WEAK, *CHOSEN):
        printed = NUMBERS["table-2"]["scores"][name]
        answers = {
            benchmark: answer(name, benchmark, printed.get(benchmark, 20.0) / 100, number)
            for benchmark, number in questions.items()
        }
        models[name] = ModelScores(score_answers(answers), answers)
    return models


def _deltas() -> list[Row]:
    """Return deltas of all generators against all others: differences of Table 1."""
    against_weak = {WEAK: dict.fromkeys(DIMENSIONS, 0.0)} | NUMBERS["table-1"]["deltas"]
    rows = []
    for chosen, rejected in itertools.permutations(against_weak, 2):
        deltas = {
            name: against_weak[chosen][name] - against_weak[rejected][name] for name in DIMENSIONS
        }
        deltas["mean"] = sum(deltas.values()) / len(deltas)
        rows += [
            {
                "dimension": name,
                "chosen": chosen,
                "rejected": rejected,
                "delta": round(delta, 4),
                "low": round(delta - 0.02, 4),
                "high": round(delta + 0.02, 4),
                "problems": 16500,
                "without_both": 0,
            }
            for name, delta in deltas.items()
        ]
    return rows


def _overlaps() -> list[Row]:
    printed = NUMBERS["figure-5"]["overlaps"]
    rows = []
    for k in SIZES:
        for dimension, other in itertools.permutations(DIMENSIONS, 2):
            at_1000 = printed.get(dimension, {}).get(other) or printed.get(other, {}).get(dimension)
            overlap = OVERLAPS[k]
            if at_1000 is not None:
                overlap = at_1000 + (100 - at_1000) * (int(k) - 1000) / 9000
            chance = round(100 * int(k) / 16500, 4)
            rows.append(
                {
                    "k": int(k),
                    "dimension": dimension,
                    "other": other,
                    "pairs": 16500,
                    "why": None,
                    "overlap": round(overlap, 1),
                    "overlap_own_ties": round(overlap, 1),
                    "chance": chance,
                    "chance_low": chance - 1,
                    "chance_high": chance + 1,
                    "spearman": 0.5,
                }
            )
    return rows


def shuffled(context: ReportContext, seed: int) -> ReportContext:
    """Return the same numbers in other places.

    Every configuration and the base get the scores of some other one; deltas and overlaps too.
    """
    source = random.Random(seed)
    seeds = len(SEEDS)
    results: list[list[Any]] = [[context.models[context.base]] * seeds]
    for runs in context.experiments.values():
        results += [
            [run.result for run in runs[place : place + seeds]]
            for place in range(0, len(runs), seeds)
        ]
    source.shuffle(results)
    remaining = itertools.chain.from_iterable(results)
    experiments = {
        name: [Run(run.axes, next(remaining)) for run in runs]
        for name, runs in context.experiments.items()
    }
    last = next(remaining)
    base = ModelScores(last.scores, last.answers)
    return replace(
        context,
        experiments=experiments,
        models=context.models | {context.base: base},
        deltas=_shuffled_rows(context.deltas, ("delta", "low", "high"), source),
        overlaps=_shuffled_rows(context.overlaps, ("overlap", "overlap_own_ties"), source),
    )


def _shuffled_rows(rows: list[Row], names: tuple[str, ...], source: random.Random) -> list[Row]:
    values = [{name: row[name] for name in names} for row in rows]
    source.shuffle(values)
    return [row | value for row, value in zip(rows, values, strict=True)]
