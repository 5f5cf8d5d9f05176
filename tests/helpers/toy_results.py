"""The smallest world: one benchmark of 40 questions, one experiment."""

from delta.experiments.results import AnswerCounts
from delta.report.context import Cell, ModelScores, Provenance, ReportContext
from delta.stats.intervals import wilson

QUESTIONS = 40
GROUP = "easy"


def toy_world(easy: dict[str, int]) -> ReportContext:
    """`easy`: the base's and each run's number of right answers to "sums"; the easiest ones."""
    runs = {name: evaluated(right) for name, right in easy.items()}
    base = runs.pop("base")
    return ReportContext(
        experiments={"figure-1": [Cell({"pairs": name}, run) for name, run in runs.items()]},
        models={"base": base},
        base="base",
        chosen="strong",
        rejected="weak",
        groups={"sums": GROUP},
        deltas=[],
        overlaps=[],
        examined={},
        provenance=Provenance("params.yaml", "b" * 40, True, "2026-11-21", {}, {}),
    )


def evaluated(right: int) -> ModelScores:
    answers = AnswerCounts(1, (1,) * right + (0,) * (QUESTIONS - right))
    return ModelScores({"sums": wilson(right / QUESTIONS, QUESTIONS)._asdict()}, {"sums": answers})
