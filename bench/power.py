"""Compute which differences the paper profile's benchmarks can see, from the sizes of its sets.

    python -m bench.power    # a second; prints the table of docs/statistics.md

A policy is compared with its base on the same questions; delta.stats.power has the formulas. The
paper prints the score of its base (Table 2). Nobody measured the other numbers for these models:
ASSUMED has them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench import results
from delta.check import check
from delta.plan.pending import max_questions
from delta.report.paper.numbers import read_numbers
from delta.stats.power import (
    ASSUMED,
    POLICY_AND_BASE,
    Benchmark,
    half_width,
    smallest_difference,
)

PROFILE = Path(__file__).parents[1] / "profiles/paper.yaml"
GAINS = {"easy": 2.0, "hard": 2.32, "stem": 0.845}  # points; the paper's, by 1,000 pairs (5.2)


class Row(NamedTuple):
    """Says which differences a group of benchmarks can see, in points."""

    group: str
    answers: int
    half_width: float  # of the 95% interval of a difference
    detectable: float  # the difference that is found 4 times in 5


def read_sizes(profile: Path = PROFILE) -> dict[str, list[Benchmark]]:
    """Return the benchmarks of each of the paper's groups."""
    table = read_numbers()["table-2"]
    scores: Mapping[str, float] = table["scores"][table["base"]]
    groups: dict[str, list[Benchmark]] = {}
    for name, benchmark in check(profile).benchmarks.items():
        questions = max_questions(benchmark)
        # "other": GPQA, which the paper has in its appendix only
        if name in scores and questions is not None and benchmark.group != "other":
            size = Benchmark(scores[name] / 100, questions, benchmark.samples)
            groups.setdefault(benchmark.group, []).append(size)
    return groups


def rows(groups: Mapping[str, list[Benchmark]]) -> list[Row]:
    table = []
    for group, sizes in groups.items():
        answers = sum(size.questions * size.samples for size in sizes)
        width, detectable = (
            100 * number(sizes, ASSUMED, 1, POLICY_AND_BASE)
            for number in (half_width, smallest_difference)
        )
        table.append(Row(group, answers, width, detectable))
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
