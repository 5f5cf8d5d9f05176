"""Compare two runs question by question."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from delta.core.errors import InputError
from delta.core.types import Row
from delta.evaluation.cut_answers import cut_percent, largest, marked, notes
from delta.experiments.results import AnswerCounts
from delta.stats.contrasts import (
    Contrast,
    CorrectCounts,
    contrast,
    format_difference,
    group_terms,
    verdict,
)


class BenchmarkComparison(NamedTuple):
    """Two runs on one benchmark. The score of a question is its fraction of correct answers."""

    benchmark: str
    difference: Contrast  # fraction of correct answers, ours - theirs, paired by question
    alike: int  # questions that both answered correctly equally often
    only_ours: list[int]  # rows of the questions that we answered correctly more often
    only_theirs: list[int]


def check_same_questions(
    ours: str, our_scores: dict[str, Row], theirs: str, their_scores: dict[str, Row]
) -> None:
    """Raise InputError where two runs were asked different questions of a benchmark."""
    for benchmark in our_scores.keys() & their_scores.keys():
        our_version, their_version = (
            scores[benchmark]["benchmark_version"] for scores in (our_scores, their_scores)
        )
        if our_version != their_version:
            raise InputError(
                f"benchmark {benchmark}: {ours} was asked {our_version!r}, {theirs} "
                f"{their_version!r}; expected the same questions"
            )


def compare(
    ours: dict[str, AnswerCounts], theirs: dict[str, AnswerCounts]
) -> list[BenchmarkComparison]:
    """Compare every benchmark that both answered. Raises InputError where the questions differ."""
    return [_compare_benchmark(name, ours[name], theirs[name]) for name in ours if name in theirs]


def _compare_benchmark(name: str, ours: AnswerCounts, theirs: AnswerCounts) -> BenchmarkComparison:
    if (ours.samples, len(ours.correct)) != (theirs.samples, len(theirs.correct)):
        raise InputError(
            f"benchmark {name}: {len(ours.correct)} questions × {ours.samples} answers against "
            f"{len(theirs.correct)} × {theirs.samples}; expected the same questions"
        )
    both = list(zip(ours.correct, theirs.correct, strict=True))
    answers = CorrectCounts([ours.correct, theirs.correct], ours.samples)
    return BenchmarkComparison(
        name,
        contrast(group_terms([answers], [1, -1])),
        sum(mine == other for mine, other in both),
        [row for row, (mine, other) in enumerate(both) if mine > other],
        [row for row, (mine, other) in enumerate(both) if mine < other],
    )


def cut_by_benchmark(*scores: Mapping[str, Row]) -> dict[str, float | None]:
    """Return by benchmark the larger share of cut answers of the runs with these scores."""
    return {
        benchmark: largest(cut_percent(of_run[benchmark]) for of_run in scores)
        for benchmark in scores[0]
        if all(benchmark in of_run for of_run in scores)
    }


def to_markdown(
    comparisons: Sequence[BenchmarkComparison],
    ours: str,
    theirs: str,
    cut: Mapping[str, float | None],
) -> str:
    """Return a Markdown table with a line for each benchmark, and the lines that explain its marks.

    `cut` is that of `cut_by_benchmark`.
    """
    lines = [
        f"| benchmark | {ours} − {theirs} (points) | p | {ours} against {theirs} | only {ours} | "
        f"only {theirs} | alike |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in comparisons:
        gap = row.difference
        p = "< 0.001" if gap.p < 0.001 else f"{gap.p:.3f}"
        lines.append(
            f"| {row.benchmark} | {marked(format_difference(gap), cut[row.benchmark])} | {p} | "
            f"{verdict(gap)} | {len(row.only_ours)} | {len(row.only_theirs)} | {row.alike} |"
        )
    explained = notes(cut[row.benchmark] for row in comparisons)
    return "\n\n".join(["\n".join(lines), *explained])
