"""The mean delta of every two generators. Table 1 of the paper is one column of it."""

import itertools

import numpy as np
import polars as pl

from delta.analysis.votes import Array, Indices, Votes, mean_votes, rounded_row
from delta.core.types import Row
from delta.stats.intervals import mean_interval


def delta_matrix_rows(votes: Votes, num_problems: int) -> list[Row]:
    """Return for each dimension and ordered pair of generators the mean delta over problems.

    A problem's delta is the mean of the chosen generator's rated traces less that of the rejected
    generator's. Problems are the sampling unit and have equal weights. without_both: the number of
    problems on which one of the generators has no vote.
    """
    names, cell, num_cells = trace_cells(votes.traces)
    table = []
    for dimension, matrix in votes.matrices.items():
        means = cell_means(mean_votes(matrix), cell, num_cells).reshape(-1, len(names))
        for chosen, rejected in itertools.permutations(range(len(names)), 2):
            deltas = means[:, chosen] - means[:, rejected]
            deltas = deltas[~np.isnan(deltas)]
            row: Row = {"dimension": dimension}
            row |= {"chosen": names[chosen], "rejected": names[rejected]}
            row |= rounded_row(("delta", "low", "high"), mean_interval(deltas))
            row |= {"problems": len(deltas), "without_both": num_problems - len(deltas)}
            table.append(row)
    return table


def trace_cells(traces: pl.DataFrame) -> tuple[list[str], Indices, int]:
    """Return the generators, each trace's cell (problem x generator), and the number of cells."""
    names = sorted(traces["generator"].unique())
    problem = traces["problem_id"].rank("dense").cast(pl.Int64).to_numpy() - 1
    generator = traces["generator"].rank("dense").cast(pl.Int64).to_numpy() - 1
    num_cells = len(names) * (int(problem.max()) + 1) if len(problem) else 0
    return names, problem * len(names) + generator, num_cells


def cell_means(values: Array, cell: Indices, num_cells: int) -> Array:
    """Return the mean of each cell's values; NaN for a cell without a value."""
    present = ~np.isnan(values)
    counts = np.bincount(cell[present], minlength=num_cells)
    total = np.bincount(cell[present], weights=values[present], minlength=num_cells)
    mean: Array = np.divide(total, counts, out=np.full(num_cells, np.nan), where=counts > 0)
    return mean
