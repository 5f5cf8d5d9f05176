"""Summarize a run: what it taught, and the few numbers that DVC compares."""

from collections.abc import Sequence
from typing import NamedTuple

from delta.core.types import Counts, Row
from delta.evaluation.answer_measures import read_measures, to_percent
from delta.experiments.results import POLICY_AGAINST_BASE
from delta.report.scores import Scores, percent, score_rows
from delta.report.sentence import sentence
from delta.report.this_run import Comparison, Measure, comparison_row

SCORE_COLUMNS = {  # of the list `scores`, beside percentages → key of data/counts/evaluate
    "group": "group",
    "questions": "n",
    "samples": "samples",
    "benchmark_version": "benchmark_version",
}


class RunCounts(NamedTuple):
    """What the stages before counted."""

    judge: Sequence[Counts]  # of every generator
    select: Counts
    train: Counts


class Names(NamedTuple):
    """The names of what was compared."""

    base: str  # in `evaluation.models`
    model: str  # the base's in `models`
    method: str  # dpo, kto or sft


def summarize(
    names: Names,
    scores: Scores,
    measures: Sequence[Measure],
    comparisons: Sequence[Comparison],
    counts: RunCounts,
) -> Counts:
    """Return the numbers under short keys that are unique in the file, and lists of the rest.

    Scores, gains, cut answers and the fraction of refused votes are in percent; a group has the
    largest share of cut answers of its benchmarks. DVC compares the numbers and skips the lists.
    """
    votes, refused = (sum(row[key] for row in counts.judge) for key in ("votes", "refused"))
    select, train = counts.select, counts.train
    said = sentence(measures, train["pairs_kept"], names.method, names.model)
    return {
        "policy": {
            row.group: {
                "score": percent(row.policy.value),
                "low": percent(row.policy.low),
                "high": percent(row.policy.high),
                "gain": percent(row.policy.value - row.base.value),
                "cut": row.policy_cut,
            }
            for row in comparisons
            if row.benchmark is None
        },
        "judge": {"refused": percent(refused / max(1, votes + refused))},
        "selection": {"pairs": select["selected"], "mean_delta": select["mean_delta_selected"]},
        "training": _training_numbers(train),
        "run": [names._asdict() | {"sentence": said}],
        "measures": [comparison_row(measure) for measure in measures],
        "comparisons": [comparison_row(row) for row in comparisons],
        "scores": [
            row | _score_columns(scores[row["model"]][row["benchmark"]])
            for row in score_rows(scores)
        ],
    }


def _score_columns(score: Row) -> Row:
    columns = {column: score[key] for column, key in SCORE_COLUMNS.items()}
    return columns | {"measures": to_percent(read_measures(score))}


def _training_numbers(train: Counts) -> Row:
    """Return the loss and the margin, and how far the policy is from the base (nats a token)."""
    measured = train.get(POLICY_AGAINST_BASE) or {}
    return {
        "loss": train["last_loss"],
        "margin": train.get("last_margin"),
        "kl": measured.get("kl_per_token"),
    }
