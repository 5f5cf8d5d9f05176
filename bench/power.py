"""Compute which differences the paper profile's comparisons can see, from its sizes and seeds.

    python -m bench.power    # a second; prints the table of docs/statistics.md

`python -m delta plan` prints the same numbers for any profile. delta.stats.power has the formulas
and the numbers that are assumed (ASSUMED), delta.plan.power where the others come from.
"""

from pathlib import Path
from typing import NamedTuple

from bench import results
from delta.check import check
from delta.plan.power import domains, paper_differences, seeds_of
from delta.stats.power import (
    POLICY_AND_BASE,
    TWO_POLICIES,
    half_width,
    smallest_difference,
)

PROFILE = Path(__file__).parents[1] / "profiles/paper.yaml"
FIGURE = "figure-4"  # whose gains by 1,000 pairs the paper prints in three domains


class Row(NamedTuple):
    """Says which differences a domain's comparisons can see, in points."""

    domain: str
    answers: int  # of one model
    half_width: float  # of the 95% interval of a training less the base
    from_base: float  # the difference of a training and the base that is seen 4 times in 5
    of_trainings: float  # that of two trainings
    paper: float | None  # the smallest difference that the paper prints for FIGURE


def rows(profile: Path = PROFILE) -> list[Row]:
    params = check(profile)
    seeds = seeds_of(params.experiments[FIGURE])
    printed = {d.domain: d.points for d in paper_differences() if d.figure == FIGURE}
    return [
        Row(
            domain.name,
            domain.answers,
            100 * half_width(domain.benchmarks, domain.noise, seeds, POLICY_AND_BASE),
            100 * smallest_difference(domain.benchmarks, domain.noise, seeds, POLICY_AND_BASE),
            100 * smallest_difference(domain.benchmarks, domain.noise, seeds, TWO_POLICIES),
            printed.get(domain.name),
        )
        for domain in domains(params)
    ]


def to_markdown(table: list[Row]) -> str:
    lines = [
        "| domain | answers | 95% interval, ± points | seen over the base | seen between two "
        "trainings | the paper's gain |",
        "|---|---|---|---|---|---|",
    ]
    for row in table:
        numbers = (row.half_width, row.from_base, row.of_trainings)
        cells = [row.domain, f"{row.answers:,}", *(f"{number:.2f}" for number in numbers)]
        cells.append("–" if row.paper is None else f"{row.paper:g}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    results.argument_parser(__doc__).parse_args()
    print(to_markdown(rows()))


if __name__ == "__main__":
    main()
