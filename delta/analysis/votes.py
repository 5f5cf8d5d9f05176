"""All votes of one judge as arrays, and the traces that they are on."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from delta.core.errors import InputError
from delta.judging.rubric import DIMENSIONS

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]  # rows of an array

MEAN = "mean"  # of all dimensions, as in selector.by
GRID = 6  # decimals: means of the same votes are equal, in whatever order they were added


@dataclass(frozen=True)
class Votes:
    """Rows are the rated traces, in the order of their ids: no file order can change a result."""

    traces: pl.DataFrame  # trace_id, problem_id, generator, outcome (null: no verdict)
    matrices: dict[str, Array]  # by dimension, and MEAN: trace × vote; NaN where there is no vote


def gather(traces: pl.DataFrame, verdicts: pl.DataFrame, ratings: pl.DataFrame) -> Votes:
    """The votes in `ratings`, of one judge, with what is known of their traces.

    One reply of a judge holds a vote for every dimension, so the n-th votes of a trace belong
    together: a vote of MEAN is their mean, there where all dimensions have as many.
    """
    judges = sorted(ratings["judge"].unique())
    if len(judges) > 1:
        raise InputError(f"ratings by the judges {', '.join(judges)}; allowed: those of one judge")
    rated = ratings.select("trace_id").unique().sort("trace_id")
    known = rated.join(
        traces.select("trace_id", "problem_id", "generator"),
        on="trace_id",
        how="left",
        maintain_order="left",
    ).join(
        verdicts.select("trace_id", pl.col("outcome").cast(pl.String)),
        on="trace_id",
        how="left",
        maintain_order="left",
    )
    if lost := known["generator"].null_count():
        raise InputError(f"{lost} rated traces are not there; rebuild them with `dvc repro`")
    present = set(ratings["dimension"].unique())
    cast = {name: _matrix(rated, ratings, name) for name in DIMENSIONS if name in present}
    if cast:
        cast[MEAN] = _mean_over(list(cast.values()))
    return Votes(known, cast)


def _matrix(rated: pl.DataFrame, ratings: pl.DataFrame, dimension: str) -> Array:
    own = ratings.filter(pl.col("dimension") == dimension).select("trace_id", "votes")
    votes = rated.join(own, on="trace_id", how="left", maintain_order="left")["votes"]
    most = int(votes.list.len().max() or 0)  # type: ignore[arg-type]
    columns = [votes.list.get(place, null_on_oob=True) for place in range(most)]
    matrix = np.full((len(votes), most), np.nan)
    for place, column in enumerate(columns):
        matrix[:, place] = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return matrix


def _mean_over(matrices: list[Array]) -> Array:
    most = max(matrix.shape[1] for matrix in matrices)
    total = np.zeros((len(matrices[0]), most))
    for matrix in matrices:
        total[:, : matrix.shape[1]] += matrix
        total[:, matrix.shape[1] :] = np.nan
    numbers = [vote_counts(matrix) for matrix in matrices]
    total[np.any([number != numbers[0] for number in numbers], axis=0)] = np.nan
    return total / len(matrices)


def vote_counts(matrix: Array) -> Array:
    """How many votes each row has."""
    number: Array = (~np.isnan(matrix)).sum(axis=1).astype(np.float64)
    return number


def mean_votes(matrix: Array) -> Array:
    """The mean vote of each row; NaN where a row has none."""
    number = vote_counts(matrix)
    total = np.nansum(matrix, axis=1)
    mean: Array = np.divide(total, number, out=np.full(len(matrix), np.nan), where=number > 0)
    return mean


def squared_deviations(matrix: Array) -> Array:
    """Each row's sum of squared distances from its mean; 0 where a row has no vote."""
    found: Array = np.nansum((matrix - mean_votes(matrix)[:, None]) ** 2, axis=1)
    return found


def round4(value: float | None) -> float | None:
    """Four decimals, and None for what is not defined."""
    return None if value is None or not np.isfinite(value) else round(float(value), 4)
