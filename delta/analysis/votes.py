"""The votes of one judge as arrays, and the traces that they rate."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from delta.core.errors import InputError
from delta.core.files import round4
from delta.core.types import Row
from delta.judging.ratings import check_one_judge
from delta.judging.rubric import DIMENSIONS, MEAN

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Votes:
    """The rated traces in the order of their ids, so that the order of a file changes no result."""

    traces: pl.DataFrame  # trace_id, problem_id, generator, outcome (null: no verdict)
    matrices: dict[str, Array]  # by dimension, and MEAN: trace x vote; NaN where there is no vote


def gather_votes(traces: pl.DataFrame, verdicts: pl.DataFrame, ratings: pl.DataFrame) -> Votes:
    """Return the votes in `ratings`, which must be of one judge, and the traces they rate.

    A reply of the judge has a vote on every dimension, so the n-th votes of a trace are of one
    reply. A vote of MEAN is their mean, where all dimensions have equally many votes.
    """
    check_one_judge(ratings)
    rated = ratings.select("trace_id").unique().sort("trace_id")
    rated_traces = rated
    for table in (
        traces.select("trace_id", "problem_id", "generator"),
        verdicts.select("trace_id", pl.col("outcome").cast(pl.String)),
    ):
        rated_traces = rated_traces.join(table, on="trace_id", how="left", maintain_order="left")
    if missing := rated_traces["generator"].null_count():
        raise InputError(f"{missing} rated traces are missing; rebuild them with `dvc repro`")
    present = set(ratings["dimension"].unique())
    matrices = {name: _matrix(rated, ratings, name) for name in DIMENSIONS if name in present}
    if matrices:
        matrices[MEAN] = _mean_over(list(matrices.values()))
    return Votes(rated_traces, matrices)


def _matrix(rated: pl.DataFrame, ratings: pl.DataFrame, dimension: str) -> Array:
    by_trace = ratings.filter(pl.col("dimension") == dimension).select("trace_id", "votes")
    votes = rated.join(by_trace, on="trace_id", how="left", maintain_order="left")["votes"]
    width = int(votes.list.len().max() or 0)  # type: ignore[arg-type]
    matrix = np.full((len(votes), width), np.nan)
    for column in range(width):
        cast = votes.list.get(column, null_on_oob=True).cast(pl.Float64)
        matrix[:, column] = cast.fill_null(np.nan).to_numpy()
    return matrix


def _mean_over(matrices: list[Array]) -> Array:
    width = max(matrix.shape[1] for matrix in matrices)
    total = np.zeros((len(matrices[0]), width))
    for matrix in matrices:
        total[:, : matrix.shape[1]] += matrix
        total[:, matrix.shape[1] :] = np.nan
    counts = [vote_counts(matrix) for matrix in matrices]
    total[np.any([count != counts[0] for count in counts], axis=0)] = np.nan
    return total / len(matrices)


def vote_counts(matrix: Array) -> Array:
    """Return each row's number of votes."""
    counts: Array = (~np.isnan(matrix)).sum(axis=1).astype(np.float64)
    return counts


def mean_votes(matrix: Array) -> Array:
    """Return each row's mean vote; NaN where a row has none."""
    counts = vote_counts(matrix)
    total = np.nansum(matrix, axis=1)
    mean: Array = np.divide(total, counts, out=np.full(len(matrix), np.nan), where=counts > 0)
    return mean


def squared_deviations(matrix: Array) -> Array:
    """Return each row's sum of squared deviations from its mean; 0 where a row has no vote."""
    total: Array = np.nansum((matrix - mean_votes(matrix)[:, None]) ** 2, axis=1)
    return total


def rounded_row(names: Iterable[str], values: Iterable[float | None]) -> Row:
    """Return the values by name, each as `round4` rounds it."""
    return dict(zip(names, map(round4, values), strict=True))
