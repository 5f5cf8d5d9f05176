"""Variance components: how much each source contributes to the variance of votes and deltas."""

import itertools
from typing import NamedTuple

import numpy as np

from delta.analysis.generator_deltas import cell_means, trace_cells
from delta.analysis.votes import (
    Array,
    Indices,
    Votes,
    mean_votes,
    rounded_row,
    squared_deviations,
    vote_counts,
)
from delta.core.types import Row

CANCELS = "cancels: both traces are of one problem"
CONSTANT = "the same in every pair"
NOT_CROSSED = "needs two generators with problems in common"


class Components(NamedTuple):
    """Estimated variances of the parts of one vote. They may be negative.

    A part is None where the design cannot separate it. Its variance is then in the last part before
    it that is not None.
    """

    generator: float | None
    problem: float | None
    generator_by_problem: float | None
    sample: float | None
    judge: float | None


def variance_rows(votes: Votes) -> list[Row]:
    """Return the sources of variance of three quantities, for each dimension.

    vote: single votes. delta: deltas of two traces of one problem by any two generators, with as
    many votes as were cast. A problem's difficulty is on both sides and cancels.
    delta_of_one_recipe: the same for two fixed generators. Negative estimates are kept, count as 0
    in the fractions, and are marked `clipped`.
    """
    names, cell, num_cells = trace_cells(votes.traces)
    table = []
    for dimension, matrix in votes.matrices.items():
        of_vote = estimate_components(matrix, cell, num_cells, len(names))._asdict()
        counts = vote_counts(matrix)
        # Judge noise is divided by the number of votes in a trace's mean.
        votes_inverse = float((1 / counts[counts > 0]).mean()) if counts.any() else 1.0
        of_delta = {name: None if part is None else 2 * part for name, part in of_vote.items()}
        if of_delta["judge"] is not None:
            of_delta["judge"] *= votes_inverse
        for quantity, variances, absent in (
            ("vote", of_vote, {}),
            ("delta", of_delta, {"problem": CANCELS}),
            ("delta_of_one_recipe", of_delta, {"problem": CANCELS, "generator": CONSTANT}),
        ):
            sources = _source_rows(variances, absent)
            table += [{"dimension": dimension, "quantity": quantity} | row for row in sources]
    return table


def estimate_components(
    matrix: Array, cell: Indices, num_cells: int, num_generators: int
) -> Components:
    """Return moment estimates of vote = mean + generator + problem + both + sample + judge.

    `cell` is each trace's cell in the table problem x generator. For balanced tables these are the
    estimates of the analysis of variance. For others each is still unbiased, because it uses only
    differences within the data: between the votes of a trace, between the traces of a cell, and
    between two generators on the problems that both have. Generators are fixed effects: their
    variance is the one among these generators, less the part that the sampled problems cause.

    judge is None where every trace has one vote: sample then includes it. sample is None where
    every cell has one trace: generator_by_problem then includes both. With one generator, only
    judge and sample are known.
    """
    counts = vote_counts(matrix)
    matrix, cell, counts = matrix[counts > 0], cell[counts > 0], counts[counts > 0]
    df = float((counts - 1).sum())
    judge = float(squared_deviations(matrix).sum()) / df if df > 0 else None
    score = mean_votes(matrix)
    score_noise = (judge or 0.0) / counts
    traces = np.bincount(cell, minlength=num_cells)
    means = cell_means(score, cell, num_cells)
    mean_noise = np.bincount(cell, weights=score_noise, minlength=num_cells) / np.maximum(traces, 1)
    cell_df = np.maximum(traces - 1, 0)
    sample = None
    if cell_df.any():
        deviations = float(((score - means[cell]) ** 2).sum())
        sample = (deviations - float((cell_df * mean_noise).sum())) / float(cell_df.sum())
    cell_noise = ((sample or 0.0) + mean_noise) / np.maximum(traces, 1)
    shape = (-1, num_generators)
    crossed = _crossed(means.reshape(shape), cell_noise.reshape(shape))
    return Components(*crossed, sample, judge)


def _crossed(table: Array, noise: Array) -> tuple[float | None, float | None, float | None]:
    """Return generator, problem and interaction of a table problem x generator, NaN where empty."""
    generator, problem, interaction, weights = [], [], [], []
    for first, second in itertools.combinations(range(table.shape[1]), 2):
        both = ~np.isnan(table[:, first]) & ~np.isnan(table[:, second])
        num = int(both.sum())
        if num < 2:
            continue
        scores, others = table[both, first], table[both, second]
        variance = float(np.var(scores - others, ddof=1))
        noise_variance = float((noise[both, first] + noise[both, second]).mean())
        generator.append((float((scores - others).mean()) ** 2 - variance / num) / 2)
        problem.append(float(np.cov(scores, others)[0, 1]))
        interaction.append((variance - noise_variance) / 2)
        weights.append(num - 1)
    if not weights:
        return None, None, None
    return (
        float(np.mean(generator)),
        float(np.average(problem, weights=weights)),
        float(np.average(interaction, weights=weights)),
    )


def _source_rows(variances: dict[str, float | None], absent: dict[str, str]) -> list[Row]:
    """Return a row for each source. `absent` maps the sources without a part to the reason."""
    crossed = variances["generator"] is not None
    present = {name: 0.0 if name in absent else part for name, part in variances.items()}
    total = sum(max(0.0, part) for part in present.values() if part is not None)
    table, included_in = [], ""
    for name, variance in present.items():
        why = absent.get(name)
        if not crossed and name in ("generator", "problem", "generator_by_problem"):
            why = NOT_CROSSED
        elif crossed and variance is None:
            why = why or f"is in {included_in}"
        elif variance is not None:
            included_in = name
        fraction = None
        if crossed and variance is not None and total > 0:
            fraction = max(0.0, variance) / total
        clipped = variance is not None and variance < 0
        numbers = rounded_row(("variance", "fraction_of_variance"), (variance, fraction))
        table.append({"source": name, **numbers, "clipped": clipped, "why": why})
    return table
