"""Summarize a run in the numbers that `dvc exp show` and `dvc metrics diff` compare."""

from collections.abc import Sequence

from delta.core.types import Counts, Row
from delta.report.scores import Scores, percent
from delta.stats.intervals import Interval, group_mean

SCORE_COLUMNS = ("group", "value", "low", "high", "n", "samples", "benchmark_version")


def summarize(
    scores: Scores,
    base: str,
    policy: str,
    judge: Sequence[Counts],
    select: Counts,
    train: Counts,
) -> Counts:
    """Return the numbers under short keys that are unique in the file, and all scores as a list.

    `judge` has the counts of every generator. Scores, gains and the fraction of refused votes are
    in percent. DVC compares the numbers and skips the list.
    """
    votes, refused = (sum(counts[key] for counts in judge) for key in ("votes", "refused"))
    return {
        "policy": _by_group(scores[policy], scores[base]),
        "judge": {"refused": percent(refused / max(1, votes + refused))},
        "selection": {"pairs": select["selected"], "mean_delta": select["mean_delta_selected"]},
        "training": {"loss": train["last_loss"], "margin": train.get("last_margin")},
        "scores": [
            {"model": model, "benchmark": benchmark} | {key: score[key] for key in SCORE_COLUMNS}
            for model, by_benchmark in scores.items()
            for benchmark, score in by_benchmark.items()
        ],
    }


def _by_group(policy: dict[str, Row], base: dict[str, Row]) -> dict[str, Counts]:
    """Return the mean score, its 95% interval and the gain by group of benchmarks (paper 3.1.2)."""
    benchmarks: dict[str, list[str]] = {}
    for benchmark, score in policy.items():
        benchmarks.setdefault(score["group"], []).append(benchmark)
    groups = {}
    for group, names in benchmarks.items():
        ours, theirs = (
            group_mean(
                [Interval(*(scores[name][key] for key in Interval._fields)) for name in names]
            )
            for scores in (policy, base)
        )
        groups[group] = {
            "score": percent(ours.value),
            "low": percent(ours.low),
            "high": percent(ours.high),
            "gain": percent(ours.value - theirs.value),
        }
    return groups
