"""From where the votes, and the deltas of pairs, have their variance."""

from typing import NamedTuple

import numpy as np

from delta.analysis.generator_deltas import cell_means, cells
from delta.analysis.votes import (
    Array,
    Places,
    Votes,
    mean_votes,
    round4,
    squared_deviations,
    vote_counts,
)
from delta.core.types import Row

CANCELS = "cancels: both traces are of one problem"
CONSTANT = "the same in every pair"
SOURCES = ("generator", "problem", "generator_by_problem", "sample", "judge")


class Components(NamedTuple):
    """Variances of the parts of one vote; None where the design cannot tell one from the next
    that is not None (see `estimate`). They may be negative."""

    generator: float | None
    problem: float | None
    generator_by_problem: float | None
    sample: float | None
    judge: float | None


def rows(votes: Votes) -> list[Row]:
    """Three times the sources for each dimension, `of` saying of what variance:

    vote: of single votes. delta: of the deltas of two traces of the same problem by any two
    generators, with as many votes as were cast; what makes a problem easy or hard for all is on
    both sides and cancels. delta_of_one_recipe: the same for two fixed generators.
    Negative estimates are shown and count as 0 in the shares (`clipped`).
    """
    found = []
    for dimension, matrix in votes.matrices.items():
        names, cell, num_cells = cells(votes.traces)
        parts = estimate(matrix, cell, num_cells, len(names))
        number = vote_counts(matrix)
        inverse = float((1 / number[number > 0]).mean()) if number.any() else 1.0
        found += [{"dimension": dimension} | row for row in _shares(parts, inverse)]
    return found


def estimate(matrix: Array, cell: Places, num_cells: int, num_generators: int) -> Components:
    """Moment estimates of the model vote = mean + generator + problem + both + sample + judge.

    `cell`: of each trace, problem × generator in rows. On balanced tables they are those of the
    analysis of variance; on others each is unbiased all the same, for it rests on differences
    within what is there: votes of a trace, traces of a cell, cells of two generators on the
    problems that both have. Generators are fixed: theirs is the variance among these, less
    what their means owe to the problems drawn.

    judge is None with one vote a trace everywhere: then sample holds it. sample is None with one
    trace a cell: then generator_by_problem holds both. With one generator only these are known.
    """
    number = vote_counts(matrix)
    matrix, cell, number = matrix[number > 0], cell[number > 0], number[number > 0]
    freedom = float((number - 1).sum())
    judge = float(squared_deviations(matrix).sum()) / freedom if freedom > 0 else None
    noise = (judge or 0.0) / number  # of each trace's mean vote
    score = mean_votes(matrix)
    traces = np.bincount(cell, minlength=num_cells)
    middle = cell_means(score, cell, num_cells)
    mean_noise = np.bincount(cell, weights=noise, minlength=num_cells) / np.maximum(traces, 1)
    freedom = float(np.maximum(traces - 1, 0).sum())
    sample = None
    if freedom > 0:
        spread = float(((score - middle[cell]) ** 2).sum())
        owed = float((np.maximum(traces - 1, 0) * mean_noise).sum())
        sample = (spread - owed) / freedom
    cell_noise = ((sample or 0.0) + mean_noise) / np.maximum(traces, 1)
    shape = (-1, num_generators)
    crossed = _crossed(middle.reshape(shape), cell_noise.reshape(shape))
    return Components(*crossed, sample, judge)


def _crossed(table: Array, noise: Array) -> tuple[float | None, float | None, float | None]:
    """generator, problem and their interaction, of a table problem × generator with NaN."""
    apart, covariance, interaction, freedom = [], [], [], []
    for one in range(table.shape[1]):
        for other in range(one):
            both = ~np.isnan(table[:, one]) & ~np.isnan(table[:, other])
            if both.sum() < 2:
                continue
            ours, theirs = table[both, one], table[both, other]
            spread = float(np.var(ours - theirs, ddof=1))
            owed = float((noise[both, one] + noise[both, other]).mean())
            apart.append((float((ours - theirs).mean()) ** 2 - spread / both.sum()) / 2)
            covariance.append(float(np.cov(ours, theirs)[0, 1]))
            interaction.append((spread - owed) / 2)
            freedom.append(float(both.sum()) - 1)
    if not freedom:
        return None, None, None
    weighted = [float(np.average(values, weights=freedom)) for values in (covariance, interaction)]
    return float(np.mean(apart)), weighted[0], weighted[1]


def _shares(parts: Components, votes_inverse: float) -> list[Row]:
    """`votes_inverse`: mean of 1 / number of votes, by which judge noise is in a trace's mean."""
    of_vote = parts._asdict()
    of_delta = {name: _times(value, 2) for name, value in of_vote.items()}
    of_delta["judge"] = _times(of_delta["judge"], votes_inverse)
    cancelled = {"problem": CANCELS}
    constant = cancelled | {"generator": CONSTANT}
    return [
        *_rows("vote", of_vote, {}),
        *_rows("delta", of_delta, cancelled),
        *_rows("delta_of_one_recipe", of_delta, constant),
    ]


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def _rows(of: str, variances: dict[str, float | None], absent: dict[str, str]) -> list[Row]:
    """`absent`: the sources that have no part in this variance, and why."""
    there = {name: 0.0 if name in absent else value for name, value in variances.items()}
    if variances["generator"] is None:  # not even the crossed parts are known
        whys = dict.fromkeys(SOURCES[:3], "needs two generators with problems in common")
        return [_row(of, name, there[name], None, whys.get(name)) for name in SOURCES]
    total = sum(max(0.0, value) for value in there.values() if value is not None)
    found, holder = [], ""
    for name in SOURCES:
        value = there[name]
        holder = name if value is not None else holder
        share = max(0.0, value) / total if value is not None and total > 0 else None
        why = absent.get(name) or (None if value is not None else f"is in {holder}")
        found.append(_row(of, name, value, share, why))
    return found


def _row(of: str, source: str, variance: float | None, share: float | None, why: str | None) -> Row:
    figures = {"variance": round4(variance), "share": round4(share)}
    clipped = variance is not None and variance < 0
    return {"of": of, "source": source} | figures | {"clipped": clipped, "why": why}
