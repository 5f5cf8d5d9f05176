"""The mean delta of every two generators; Table 1 of the paper is one column of it."""

from typing import Any

import numpy as np
import polars as pl

from delta.analysis.votes import Array, Places, Votes, mean_votes, round4
from delta.stats.mean_interval import mean_interval


def rows(votes: Votes, num_problems: int) -> list[dict[str, Any]]:
    """For each dimension and ordered pair of generators the mean over problems of (mean of the
    chosen's rated traces − mean of the rejected's), its interval, and on how many problems.

    Problems are the unit of chance, and each weighs the same whatever number of its traces was
    rated. `without_both`: the problems of which one side has no vote.
    """
    names, cell, num_cells = cells(votes.traces)
    found = []
    for dimension, matrix in votes.matrices.items():
        table = cell_means(mean_votes(matrix), cell, num_cells).reshape(-1, len(names))
        pairs = [
            {"dimension": dimension} | row
            for chosen in range(len(names))
            for rejected in range(chosen)
            for row in _both_ways(table, names, chosen, rejected, num_problems)
        ]
        found += sorted(pairs, key=lambda row: (row["chosen"], row["rejected"]))
    return found


def cells(traces: pl.DataFrame) -> tuple[list[str], Places, int]:
    """Generators in order; for each trace the place of its problem × generator; how many places."""
    names = sorted(traces["generator"].unique())
    problem = traces["problem_id"].rank("dense").cast(pl.Int64).to_numpy() - 1
    generator = traces["generator"].rank("dense").cast(pl.Int64).to_numpy() - 1
    size = len(names) * (int(problem.max()) + 1) if len(problem) else 0
    return names, problem * len(names) + generator, size


def cell_means(values: Array, cell: Places, num_cells: int) -> Array:
    """NaN for a cell without a value."""
    there = ~np.isnan(values)
    number = np.bincount(cell[there], minlength=num_cells)
    total = np.bincount(cell[there], weights=values[there], minlength=num_cells)
    mean: Array = np.divide(total, number, out=np.full(num_cells, np.nan), where=number > 0)
    return mean


def _both_ways(
    table: Array, names: list[str], chosen: int, rejected: int, num_problems: int
) -> list[dict[str, Any]]:
    difference = table[:, chosen] - table[:, rejected]
    difference = difference[~np.isnan(difference)]
    mean, low, high = (round4(value) for value in mean_interval(difference))
    counted = {"problems": len(difference), "without_both": num_problems - len(difference)}
    there = {"chosen": names[chosen], "rejected": names[rejected]}
    back = {"chosen": names[rejected], "rejected": names[chosen]}
    return [
        there | {"delta": mean, "low": low, "high": high} | counted,
        back | {"delta": _minus(mean), "low": _minus(high), "high": _minus(low)} | counted,
    ]


def _minus(value: float | None) -> float | None:
    return None if value is None else 0.0 - value  # and 0.0 stays 0.0
