"""Render what the comparisons of a profile's experiments can see."""

import math
from collections.abc import Sequence

from delta.check import Params
from delta.plan.power import (
    Domain,
    PaperDifference,
    SeedResults,
    alternative_sizes,
    domains,
    figures_by_seeds,
    paper_differences,
    seeds_of,
    seen,
)
from delta.plan.section import Section, align_columns, format_whole, wrap
from delta.report.claims.formatting import format_sizes
from delta.stats.power import POLICY_AND_BASE, TWO_POLICIES

TITLE = "Power: the differences in points that are seen 4 times in 5 (two-sided test, 5%)"
HEADER = ("", "seeds", "questions", "answers", "two trainings", "a training and the base")
SIZE_UNITS = ("questions", "answers to each", "seeds")  # of AlternativeSizes
PAPER_HEADER = ("the paper's differences", "points", "seen here", "or seen with")


def power_section(params: Params, configurations: Sequence[SeedResults]) -> Section:
    """Return the smallest differences by domain, and what would see those of the paper.

    Nothing where no experiment trains. `configurations`: results with several seeds.
    """
    by_seeds = figures_by_seeds(params)
    found = list(domains(params, configurations))
    if not by_seeds or not found:
        return Section()
    rows = [_row(domain, seeds) for seeds in by_seeds for domain in found]
    lines = [TITLE, *align_columns(HEADER, rows)]
    for seeds, names in by_seeds.items():
        lines += wrap(f"{seeds} seed{'s' * (seeds > 1)}: {', '.join(names)}.")
    lines += _of_the_paper(params, found)
    lines += wrap(_assumptions(found))
    return Section(lines)


def _row(domain: Domain, seeds: int) -> list[str]:
    both = (seen(domain, seeds, weights) for weights in (TWO_POLICIES, POLICY_AND_BASE))
    return [
        domain.name,
        str(seeds),
        format_whole(domain.questions),
        format_whole(domain.answers),
        *(f"{points:.2f}" for points in both),
    ]


def _of_the_paper(params: Params, found: Sequence[Domain]) -> list[str]:
    by_name, rows = {domain.name: domain for domain in found}, []
    for difference in paper_differences():
        domain = by_name.get(difference.domain)
        if domain is not None and difference.figure in params.experiments:
            seeds = seeds_of(params.experiments[difference.figure])
            rows.append(_paper_row(difference, domain, seeds))
    return align_columns(PAPER_HEADER, rows) if rows else []


def _paper_row(difference: PaperDifference, domain: Domain, seeds: int) -> list[str]:
    points = seen(domain, seeds, difference.weights)
    text = "these sizes are enough"
    if points > difference.points:
        sizes = alternative_sizes(domain, seeds, difference.weights, difference.points)
        text = format_sizes(zip(sizes, SIZE_UNITS, strict=True)) or "none of these alone"
    name = f"{difference.figure} {difference.domain}"
    return [name, f"{difference.points:g}", f"{points:.2f}", text]


def _assumptions(found: Sequence[Domain]) -> str:
    noise = found[0].noise
    between = f"{noise.within:g} of a score's variance is between answers to one question"
    if not noise.within_untrained:
        between = (
            f"answers are greedy; {noise.within:g} of a score's variance is between trainings that "
            "differ in the seed"
        )
    text = (
        f"Assumed: {between}; a training changes a question's chance by {100 * noise.change:g} "
        "points (standard deviation)."
    )
    measured = [d for d in found if math.isfinite(d.noise.seed_df)]
    if not measured:
        return f"{text} The spread of seeds is not known: taken as {100 * noise.seed_sd:g} points."
    spreads = ", ".join(f"{d.name} {100 * d.noise.seed_sd:.2f}" for d in measured)
    return f"{text} Spread of seeds, measured, in points: {spreads}."
