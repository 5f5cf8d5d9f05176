"""The reliability of a pair's delta, by the number of votes on each of its traces."""

from typing import NamedTuple

import numpy as np
import polars as pl

from delta.analysis.votes import (
    Array,
    Indices,
    Votes,
    mean_votes,
    squared_deviations,
    vote_counts,
)
from delta.core.files import round4
from delta.core.schemas import SIDES
from delta.core.types import Row

ONE_VOTE = "every trace has one vote"


class PairRows(NamedTuple):
    """The two traces of each pair, as rows of Votes.matrices."""

    chosen: Indices
    rejected: Indices


def pair_rows(votes: Votes, pairs: pl.DataFrame) -> PairRows:
    """Return the rows of those pairs whose two traces are both rated."""
    rows = pairs.select("chosen_id", "rejected_id")
    for side in SIDES:
        indices = votes.traces.select(pl.col("trace_id").alias(f"{side}_id")).with_row_index(side)
        rows = rows.join(indices, on=f"{side}_id", how="inner", maintain_order="left")
    return PairRows(*(rows[side].cast(pl.Int64).to_numpy() for side in SIDES))


def reliability_rows(votes: Votes, pairs: pl.DataFrame) -> list[Row]:
    """Return the reliability of each dimension's deltas for every number of votes m.

    predicted: the proportion of the deltas' variance that is not judge noise, with m votes on each
    side. It follows from variance components, as in the Spearman-Brown formula. It is 0 where the
    noise alone would make deltas differ more than they do.
    observed: the correlation of deltas from m votes with deltas from m other votes, over the
    pairs_observed that have 2m votes on both sides. why: the reason for a null.
    """
    both = pair_rows(votes, pairs)
    table: list[Row] = []
    for dimension, matrix in votes.matrices.items():
        chosen, rejected = matrix[both.chosen], matrix[both.rejected]
        signal, noise = delta_variance(chosen, rejected)
        for m in range(1, matrix.shape[1] + 1):
            predicted = predicted_reliability(signal, noise, m)
            observed, pairs_observed = split_half_correlation(chosen, rejected, m)
            why = "no variance" if predicted is None else None
            row = {
                "dimension": dimension,
                "votes": m,
                "predicted": round4(predicted),
                "observed": round4(observed),
                "pairs_observed": pairs_observed,
                "pairs": len(both.chosen),
                "why": ONE_VOTE if noise is None else why,
            }
            table.append(row)
    return table


def delta_variance(chosen: Array, rejected: Array) -> tuple[float | None, float | None]:
    """Return the variance of deltas without judge noise, and the noise of one vote on each side.

    The first is an estimate that may be negative. Both are None where there are too few votes or
    pairs.
    """
    rated = (vote_counts(chosen) > 0) & (vote_counts(rejected) > 0)
    chosen, rejected = chosen[rated], rejected[rated]
    vote_noise = delta_noise = 0.0
    for side in (chosen, rejected):
        counts = vote_counts(side)
        df = float((counts - 1).sum())
        if len(side) < 2 or df <= 0:
            return None, None
        noise = float(squared_deviations(side).sum()) / df
        vote_noise += noise
        delta_noise += noise * float((1 / counts).mean())
    deltas = mean_votes(chosen) - mean_votes(rejected)
    return float(np.var(deltas, ddof=1)) - delta_noise, vote_noise


def predicted_reliability(signal: float | None, noise: float | None, m: int) -> float | None:
    """Return the proportion of variance that is signal, with m votes on each side."""
    if signal is None or noise is None:
        return None
    signal = max(0.0, signal)
    return signal / (signal + noise / m) if signal + noise > 0 else None


def split_half_correlation(chosen: Array, rejected: Array, m: int) -> tuple[float | None, int]:
    """Return the correlation of deltas from m votes with those from the next m, and its pairs.

    The votes are treated as a circle. The correlation is the mean over all starting votes.
    """
    enough = (vote_counts(chosen) >= 2 * m) & (vote_counts(rejected) >= 2 * m)
    chosen, rejected = chosen[enough], rejected[enough]
    correlations = []
    for start in range(chosen.shape[1]):
        first, second = (
            _mean_of_m(chosen, begin, m) - _mean_of_m(rejected, begin, m)
            for begin in (start, start + m)
        )
        correlation = pearson(first, second)
        if correlation is None:
            return None, len(first)
        correlations.append(correlation)
    return (float(np.mean(correlations)) if correlations else None), len(chosen)


def pearson(first: Array, second: Array) -> float | None:
    """Return Pearson's correlation; None where a side is constant."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _mean_of_m(matrix: Array, begin: int, m: int) -> Array:
    """Return the mean of m votes of each row from `begin` on. A row's NaNs follow its votes."""
    counts = vote_counts(matrix)[:, None].astype(np.int64)
    columns = (begin + np.arange(m)[None, :]) % counts
    mean: Array = np.take_along_axis(matrix, columns, axis=1).mean(axis=1)
    return mean
