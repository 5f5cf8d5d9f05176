"""The smallest report context: one benchmark of 40 questions and one experiment."""

from delta.experiments.results import AnswerCounts, Result
from delta.report.claims.decide import ClaimResult, decide
from delta.report.context import ModelScores, Provenance, ReportContext, Run
from delta.report.paper.claims import Claim, ScoreDifference
from delta.stats.intervals import wilson
from tests.helpers.this_run import example_run

QUESTIONS = 40
GROUP = "easy"
SEEDS = ("1", "2")


def toy_context(correct: dict[str, int]) -> ReportContext:
    """Return a context with a base and runs that answer so many questions of "sums" correctly.

    Each answers the easiest questions correctly, with both seeds. `correct` must name "base".
    """
    results = {name: model_scores(number) for name, number in correct.items()}
    base = results.pop("base")
    return ReportContext(
        this_run=example_run({"sums": GROUP}),
        experiments={
            "figure-1": [
                Run({"pairs": name, "seed": seed}, result)
                for name, result in results.items()
                for seed in SEEDS
            ]
        },
        models={"base": base},
        base="base",
        chosen="strong",
        rejected="weak",
        groups={"sums": GROUP},
        deltas=[],
        overlaps=[],
        analysis={},
        provenance=Provenance("params.yaml", "b" * 40, True, "2026-11-21", {}, {}),
    )


def model_scores(correct: int) -> ModelScores:
    answers = AnswerCounts(1, (1,) * correct + (0,) * (QUESTIONS - correct))
    score = wilson(correct / QUESTIONS, QUESTIONS)._asdict() | {"benchmark_version": "1"}
    score |= {"n": QUESTIONS, "samples": 1, "truncated": 0}
    return ModelScores({"sums": score}, {"sums": answers})


def weak_pairs_claim(name: str, pairs: str) -> Claim:
    """Return the claim that a run of `toy_context` is better than the base."""
    return Claim(
        id=name,
        family="figure-1",
        source="Figure 1",
        statement=f"{pairs} trains well.",
        rule="above",
        smallest=0.1,
        unit="points",
        quantity=ScoreDifference(
            domains=["easy"], runs=[{"experiment": "figure-1", "pairs": pairs}], baseline=["base"]
        ),
    )


def toy_result(correct: int, **select: object) -> Result:
    """Return the result of a run that answers so many questions of "sums" correctly."""
    scored = model_scores(correct)
    counts = {"select": dict(select)} if select else {}
    return Result("k", "run", {}, "c", "2026-11-21", 1, counts, scored.scores, scored.answers)


def decide_a(context: ReportContext, **update: object) -> ClaimResult:
    """Return the verdict on "run a is better than the base"."""
    (decided,) = decide([weak_pairs_claim("a", "a").model_copy(update=update)], context)
    return decided
