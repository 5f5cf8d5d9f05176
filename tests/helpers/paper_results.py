"""A world in which everything came out as the paper says: its printed numbers, and, where it
printed none, numbers that fit its words.

Answers are made from scores: of 10,000 questions a run answers the easiest ones right, so that
runs are paired and intervals narrow. Gains are in points over the base.
"""

import functools
import itertools
import random
from dataclasses import replace
from typing import Any

import numpy as np

from delta.core.types import Row
from delta.experiments.results import AnswerCounts, Result
from delta.judging.rubric import DIMENSIONS
from delta.report import paper
from delta.report.context import Cell, ModelScores, Provenance, ReportContext
from delta.stats.intervals import wilson

NUMBERS = paper.numbers()
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
QUESTIONS = dict.fromkeys(GROUPS, 10_000)
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
DPO_STEM = (0.4, 0.9, 1.2, 1.5, 1.9, 2.3)
DPO_CODE = (0.5, 1.3, 2.0, 2.6, 3.3, 4.1)
# Math: the base at "∼71.1", the best at 73.0 and the worst at 71.9; STEM as printed over 56.65.
FIGURE_3: dict[str, Gains] = {
    "correct-incorrect": (1.9, 1.9, 57.26 - 56.65, 0.6),
    "correct-correct": (1.5, 1.5, 56.72 - 56.65, 0.1),
    "incorrect-incorrect": (0.8, 0.8, 57.09 - 56.65, 0.4),
    "incorrect-correct": (1.2, 1.2, 56.63 - 56.65, 0.1),
}
FIGURE_4: dict[str, tuple[Gains, Gains, Gains]] = {
    "step_coherence": ((2.0, 2.32, 0.79, 0.5), (2.1, 3.0, 1.15, 0.9), (2.2, 3.7, 1.4, 1.4)),
    "strategy_coherence": ((1.8, 2.1, 0.845, 0.5), (1.9, 2.8, 1.0, 0.8), (2.0, 3.5, 1.25, 1.2)),
    "factuality": ((1.6, 1.9, 0.6, 0.4), (1.7, 2.5, 0.9, 0.8), (1.8, 3.3, 1.1, 1.1)),
    "computational_precision": (
        (1.7, 1.95, 0.65, 0.4),
        (1.75, 2.6, 0.95, 0.8),
        (1.9, 3.4, 1.15, 1.1),
    ),
    "signal_to_noise": ((1.5, 1.8, 0.5, 0.3), (1.6, 2.4, 0.8, 0.7), (1.7, 3.1, 1.05, 1.0)),
}
SIZES = ("1000", "2500", "5000")
OVERLAPS = {"1000": 45.0, "2500": 60.0, "5000": 74.0}  # of pairs of dimensions without a number
AT = ("easy", "hard", "stem", "code", "other")


def trained(gains: Gains, questions: dict[str, int]) -> Result:
    by_group = dict(zip(AT, (*gains, 0.0), strict=True))
    shares = {
        name: (NUMBERS["table-2"]["scores"][BASE].get(name, 50.0) + by_group[group]) / 100
        for name, group in _groups(questions).items()
    }
    answers = {name: answered(name, share, questions[name]) for name, share in shares.items()}
    key = "-".join(str(gain) for gain in gains)
    return Result(
        key=key,
        name=f"run-{key}",
        changes={},
        commit="a" * 40,
        date="2026-11-21",
        seconds=60,
        counts={},
        scores=scores(answers),
        answers=answers,
    )


@functools.cache
def answered(name: str, share: float, questions: int) -> AnswerCounts:
    """The share of the samples, spread so that a better run is right wherever a worse one is."""
    samples = SAMPLES.get(name, 1)
    levels = (np.random.default_rng(len(name)).permutation(questions) + 0.5) / questions
    return AnswerCounts(samples, tuple(np.floor(samples * share + levels).astype(int).tolist()))


def scores(answers: dict[str, AnswerCounts]) -> dict[str, dict[str, Any]]:
    found = {}
    for name, one in answers.items():
        n = len(one.correct)
        interval = wilson(sum(one.correct) / n / one.samples, n)
        counted = {"n": n, "samples": one.samples, "ungradable": 0, "truncated": 0}
        found[name] = interval._asdict() | counted
    return found


def _groups(questions: dict[str, int]) -> dict[str, str]:
    return {name: GROUPS.get(name, "other") for name in questions}


def paper_world(questions: dict[str, int] = QUESTIONS) -> ReportContext:
    def run(gains: Gains, **at: str) -> Cell:
        return Cell(at, trained(gains, questions))

    return ReportContext(
        experiments={
            "figure-1": [run(g, method=m, pairs=p) for (m, p), g in FIGURE_1.items()],
            "figure-2": [
                run(gains, method=method, chosen=chosen)
                for method, less in (("dpo", 0.0), ("kto", 0.35))
                for chosen, gains in _scaling(less)
            ],
            "figure-3": [run(gains, pairs=pairs) for pairs, gains in FIGURE_3.items()],
            "figure-4": [
                run(gains, by=by, k=k)
                for by in DIMENSIONS
                for k, gains in zip(SIZES, FIGURE_4[by], strict=True)
            ],
            "random": [
                run(_less(FIGURE_4["signal_to_noise"][place], 0.4 + seed / 50), k=k, seed=str(seed))
                for place, k in enumerate(SIZES)
                for seed in (1, 2, 3)
            ],
            "bottom": _controls(1.0, questions),
            "length-matched": _controls(0.5, questions),
            "seeds": [
                run(_less(FIGURE_4["step_coherence"][2], seed / 20), seed=str(seed))
                for seed in (1, 2, 3)
            ],
        },
        models=_models(questions),
        base=BASE,
        chosen=FULL,
        rejected=WEAK,
        groups=_groups(questions),
        deltas=_deltas(),
        overlaps=_overlaps(),
        examined={
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
    )


def _scaling(less: float) -> list[tuple[str, Gains]]:
    found = []
    for place, chosen in enumerate(CHOSEN):
        easy, hard = 1.9 + place / 50, 3.475 + place / 40  # s1-32b: 3.575, so 60.0
        found.append((chosen, _less((easy, hard, DPO_STEM[place], DPO_CODE[place]), less)))
    return found


def _less(gains: Gains, less: float) -> Gains:
    easy, hard, stem, code = (round(gain - less, 4) for gain in gains)
    return easy, hard, stem, code


def _controls(less: float, questions: dict[str, int]) -> list[Cell]:
    return [
        Cell({"by": by, "k": k}, trained(_less(gains, less), questions))
        for by in DIMENSIONS
        for k, gains in zip(SIZES, FIGURE_4[by], strict=True)
    ]


def _models(questions: dict[str, int]) -> dict[str, ModelScores]:
    found = {}
    for name in (WEAK, *CHOSEN):
        printed = NUMBERS["table-2"]["scores"][name]
        answers = {
            benchmark: answered(benchmark, printed.get(benchmark, 20.0) / 100, number)
            for benchmark, number in questions.items()
        }
        found[name] = ModelScores(scores(answers), answers)
    return found


def _deltas() -> list[Row]:
    """All generators against all: differences of Table 1."""
    against_weak = {WEAK: dict.fromkeys(DIMENSIONS, 0.0)} | NUMBERS["table-1"]["deltas"]
    rows = []
    for chosen, rejected in itertools.permutations(against_weak, 2):
        apart = {
            name: against_weak[chosen][name] - against_weak[rejected][name] for name in DIMENSIONS
        }
        apart["mean"] = sum(apart.values()) / len(apart)
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
            for name, delta in apart.items()
        ]
    return rows


def _overlaps() -> list[Row]:
    printed = NUMBERS["figure-5"]["overlaps"]
    rows = []
    for k in SIZES:
        for one, other in itertools.permutations(DIMENSIONS, 2):
            known = printed.get(one, {}).get(other) or printed.get(other, {}).get(one)
            share = OVERLAPS[k] if known is None else known + (100 - known) * (int(k) - 1000) / 9000
            chance = round(100 * int(k) / 16500, 4)
            rows.append(
                {
                    "k": int(k),
                    "dimension": one,
                    "other": other,
                    "pairs": 16500,
                    "why": None,
                    "overlap": round(share, 1),
                    "chance": chance,
                    "chance_low": chance - 1,
                    "chance_high": chance + 1,
                    "spearman": 0.5,
                }
            )
    return rows


def shuffled(world: ReportContext, seed: int) -> ReportContext:
    """The same numbers at other places: every run's scores, and the base's among them, are some
    other run's; deltas and overlaps likewise."""
    drawn = random.Random(seed)
    cells = [cell for cells in world.experiments.values() for cell in cells]
    results: list[Any] = [cell.result for cell in cells] + [world.models[world.base]]
    drawn.shuffle(results)
    taken = iter(results)
    experiments = {
        name: [Cell(cell.at, next(taken)) for cell in cells]
        for name, cells in world.experiments.items()
    }
    last = next(taken)
    base = ModelScores(last.scores, last.answers)
    return replace(
        world,
        experiments=experiments,
        models=world.models | {world.base: base},
        deltas=_shuffled_rows(world.deltas, ("delta", "low", "high"), drawn),
        overlaps=_shuffled_rows(world.overlaps, ("overlap",), drawn),
    )


def _shuffled_rows(rows: list[Row], names: tuple[str, ...], drawn: random.Random) -> list[Row]:
    values = [{name: row[name] for name in names} for row in rows]
    drawn.shuffle(values)
    return [row | value for row, value in zip(rows, values, strict=True)]
