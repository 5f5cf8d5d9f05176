"""Two runs against each other, question by question: what each solved that the other did not."""

from collections.abc import Sequence
from typing import NamedTuple

from delta.core.errors import InputError
from delta.experiments.results import AnswerCounts
from delta.stats.contrasts import Contrast, CorrectCounts, contrast, group_terms


class Compared(NamedTuple):
    """One benchmark. A question counts as solved by its share of right answers."""

    benchmark: str
    difference: Contrast  # share of right answers, ours − theirs, paired by question
    alike: int  # questions that both answered right equally often
    only_ours: list[int]  # places of the questions that we answered right more often
    only_theirs: list[int]


def compare(ours: dict[str, AnswerCounts], theirs: dict[str, AnswerCounts]) -> list[Compared]:
    """For every benchmark that both were asked. InputError where the questions are not the same."""
    return [_compared(name, ours[name], theirs[name]) for name in ours if name in theirs]


def _compared(name: str, ours: AnswerCounts, theirs: AnswerCounts) -> Compared:
    if (ours.samples, len(ours.correct)) != (theirs.samples, len(theirs.correct)):
        raise InputError(
            f"benchmark {name}: {len(ours.correct)} questions × {ours.samples} answers against "
            f"{len(theirs.correct)} × {theirs.samples}; allowed: the same questions"
        )
    both = list(zip(ours.correct, theirs.correct, strict=True))
    answers = CorrectCounts([ours.correct, theirs.correct], ours.samples)
    return Compared(
        name,
        contrast(group_terms([answers], [1, -1])),
        sum(one == other for one, other in both),
        [place for place, (one, other) in enumerate(both) if one > other],
        [place for place, (one, other) in enumerate(both) if one < other],
    )


def table(compared: Sequence[Compared], ours: str, theirs: str) -> str:
    """Markdown: a line for each benchmark."""
    lines = [
        f"| benchmark | {ours} − {theirs} (points) | p | only {ours} | only {theirs} | alike |",
        "|---|---|---|---|---|---|",
    ]
    for one in compared:
        gap = one.difference
        lines.append(
            f"| {one.benchmark} | {100 * gap.value:+.1f} [{100 * gap.low:+.1f}, "
            f"{100 * gap.high:+.1f}] | {gap.p:.3f} | {len(one.only_ours)} | "
            f"{len(one.only_theirs)} | {one.alike} |"
        )
    return "\n".join(lines)
