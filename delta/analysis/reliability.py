"""How reliable the delta of a pair is, by the number of votes on each of its traces."""

from typing import Any, NamedTuple

import numpy as np
import polars as pl

from delta.analysis.votes import (
    Array,
    Places,
    Votes,
    mean_votes,
    round4,
    squared_deviations,
    vote_counts,
)

ONE_VOTE = "every trace has one vote"


class PairRows(NamedTuple):
    """The rows of Votes on which the two traces of each pair stand."""

    chosen: Places
    rejected: Places


def pair_rows(votes: Votes, pairs: pl.DataFrame) -> PairRows:
    """Of the pairs whose two traces are both rated."""
    place = votes.traces.select("trace_id").with_row_index("place")
    found = (
        pairs.select("chosen_id", "rejected_id")
        .join(place, left_on="chosen_id", right_on="trace_id", how="inner", maintain_order="left")
        .join(
            place,
            left_on="rejected_id",
            right_on="trace_id",
            how="inner",
            maintain_order="left",
            suffix="_rejected",
        )
        .select(pl.col("place", "place_rejected").cast(pl.Int64))
    )
    return PairRows(found["place"].to_numpy(), found["place_rejected"].to_numpy())


def rows(votes: Votes, pairs: pl.DataFrame) -> list[dict[str, Any]]:
    """For each dimension and number of votes m, up to as many as were cast:

    predicted: the share of the deltas' variance that is no judge noise, were there m votes on each
    side. From variance components, so it has the form of Spearman and Brown; 0 where the noise
    alone would make deltas differ more than they do. observed: the correlation of the deltas by m
    votes with those by m other votes, of pairs that have 2·m on both sides. `why`: why not.
    """
    both = pair_rows(votes, pairs)
    found = []
    for dimension, matrix in votes.matrices.items():
        chosen, rejected = matrix[both.chosen], matrix[both.rejected]
        signal, noise = delta_variance(chosen, rejected)
        for m in range(1, matrix.shape[1] + 1):
            value = predicted_reliability(signal, noise, m)
            agreed, pairs_used = split_half_correlation(chosen, rejected, m)
            found.append(
                {
                    "dimension": dimension,
                    "votes": m,
                    "predicted": round4(value),
                    "observed": round4(agreed),
                    "pairs_observed": pairs_used,
                    "pairs": len(both.chosen),
                    "why": ONE_VOTE
                    if noise is None
                    else None
                    if value is not None
                    else "no variance",
                }
            )
    return found


def delta_variance(chosen: Array, rejected: Array) -> tuple[float | None, float | None]:
    """Variance of the pairs' deltas without judge noise (it may come out below 0), and the noise
    of a delta by one vote on each side. None where no votes, or no pairs, can tell."""
    noises, means_of_inverse = [], []
    there = (vote_counts(chosen) > 0) & (vote_counts(rejected) > 0)
    for side in (chosen[there], rejected[there]):
        number = vote_counts(side)
        freedom = float((number - 1).sum())
        noises.append(float(squared_deviations(side).sum()) / freedom if freedom > 0 else None)
        means_of_inverse.append(float((1 / number).mean()) if len(number) else 0.0)
    ours, theirs = noises
    if there.sum() < 2 or ours is None or theirs is None:
        return None, None
    delta = mean_votes(chosen[there]) - mean_votes(rejected[there])
    spread = float(np.var(delta, ddof=1))
    signal = spread - ours * means_of_inverse[0] - theirs * means_of_inverse[1]
    return signal, ours + theirs


def predicted_reliability(signal: float | None, noise: float | None, m: int) -> float | None:
    if signal is None or noise is None:
        return None
    kept = max(0.0, signal)
    return kept / (kept + noise / m) if kept + noise > 0 else None


def split_half_correlation(chosen: Array, rejected: Array, m: int) -> tuple[float | None, int]:
    """Mean correlation over the ways to take m votes, and the m next, round the circle of votes;
    and of how many pairs."""
    ours, theirs = vote_counts(chosen), vote_counts(rejected)
    enough = (ours >= 2 * m) & (theirs >= 2 * m)
    found = []
    for start in range(chosen.shape[1]):
        first, second = (
            _taken(chosen[enough], ours[enough], begin, m)
            - _taken(rejected[enough], theirs[enough], begin, m)
            for begin in (start, start + m)
        )
        if enough.sum() < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
            return None, int(enough.sum())
        found.append(float(np.corrcoef(first, second)[0, 1]))
    return (float(np.mean(found)) if found else None), int(enough.sum())


def _taken(matrix: Array, number: Array, begin: int, m: int) -> Array:
    """Mean of m votes of each row from `begin` on. Votes stand first in a row, NaN after them."""
    places = (begin + np.arange(m)[None, :]) % number[:, None].astype(np.int64)
    taken: Array = np.take_along_axis(matrix, places, axis=1).mean(axis=1)
    return taken
