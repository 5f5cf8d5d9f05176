"""Compute which differences the paper profile's benchmarks can see, from the sizes of its sets.

    python -m bench.power    # a second; prints the table of docs/statistics.md

A policy is compared with its base on the same questions (delta.stats.contrasts). The difference on
one benchmark of N questions with K answers each has the variance (2 w s (1 - s) / K + t²) / N:
s is the score, w the share of its variance that lies between answers to the same question, and t
the standard deviation, over questions, of what the training changed. The paper prints s for its
base (Table 2). Nobody measured w and t for these models: both are assumed, and stated.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench import results
from delta.check import check
from delta.plan.pending import max_questions
from delta.report.paper.numbers import read_numbers
from delta.stats.intervals import Z95

PROFILE = Path(__file__).parents[1] / "profiles/paper.yaml"
WITHIN = 0.4  # ours: w
CHANGE = 0.05  # ours: t
POWER_80 = Z95 + 0.8416  # standard errors; the second is the 80% quantile of the normal
GAINS = {"easy": 2.0, "hard": 2.32, "stem": 0.845}  # points; the paper's, by 1,000 pairs (5.2)


class Size(NamedTuple):
    """A benchmark as a profile asks it."""

    score: float  # of the base
    questions: int
    samples: int


class Row(NamedTuple):
    """Says which differences a group of benchmarks can see, in points."""

    group: str
    answers: int
    half_width: float  # of the 95% interval of a difference
    detectable: float  # the difference that is found 4 times in 5


def standard_error(sizes: list[Size]) -> float:
    """Return the standard error of the difference of two runs' mean over benchmarks, in points."""
    variances = [
        (2 * WITHIN * size.score * (1 - size.score) / size.samples + CHANGE**2) / size.questions
        for size in sizes
    ]
    return 100 * math.sqrt(math.fsum(variances)) / len(sizes)


def read_sizes(profile: Path = PROFILE) -> dict[str, list[Size]]:
    """Return the benchmarks of each of the paper's groups."""
    table = read_numbers()["table-2"]
    scores: Mapping[str, float] = table["scores"][table["base"]]
    groups: dict[str, list[Size]] = {}
    for name, benchmark in check(profile).benchmarks.items():
        questions = max_questions(benchmark)
        # "other": GPQA, which the paper has in its appendix only
        if name in scores and questions is not None and benchmark.group != "other":
            size = Size(scores[name] / 100, questions, benchmark.samples)
            groups.setdefault(benchmark.group, []).append(size)
    return groups


def rows(groups: Mapping[str, list[Size]]) -> list[Row]:
    table = []
    for group, sizes in groups.items():
        error = standard_error(sizes)
        answers = sum(size.questions * size.samples for size in sizes)
        table.append(Row(group, answers, Z95 * error, POWER_80 * error))
    return table


def to_markdown(table: list[Row]) -> str:
    lines = [
        "| group | answers | 95% interval, ± points | seen 4 times in 5 | the paper's gain |",
        "|---|---|---|---|---|",
    ]
    for row in table:
        gain = GAINS.get(row.group)
        lines.append(
            f"| {row.group} | {row.answers:,} | {row.half_width:.2f} | {row.detectable:.2f} | "
            f"{'–' if gain is None else gain} |"
        )
    return "\n".join(lines)


def main() -> None:
    results.argument_parser(__doc__).parse_args()
    print(to_markdown(rows(read_sizes())))


if __name__ == "__main__":
    main()
