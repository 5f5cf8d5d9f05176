"""Bootstrap of the judge's votes: how many top pairs other votes would have selected again."""

import numpy as np

from delta.analysis.reliability import PairRows
from delta.analysis.votes import Array, Indices, Mask, Votes, vote_counts
from delta.judging.ratings import DECIMALS


def topk_stability(
    votes: Votes,
    pairs: PairRows,
    tie_order: Indices,
    deltas: dict[str, Array],
    sizes: list[int],
    resamples: int,
    seed: int,
) -> dict[str, Array]:
    """Return by dimension: resample x k, the percentage of the k top pairs that stay in the top.

    A resample draws every trace's votes with replacement. Dimensions with equal vote counts share
    their draws, because one reply of a judge votes on all dimensions. Left out are dimensions
    where a trace has no vote, or no trace has several.
    """
    rows, index = np.unique(np.concatenate(pairs), return_inverse=True)
    chosen, rejected = np.split(index, 2)
    groups: dict[bytes, list[str]] = {}
    for name in deltas:
        counts = vote_counts(votes.matrices[name][rows])
        if counts.min() > 0 and counts.max() > 1:
            groups.setdefault(counts.tobytes(), []).append(name)
    stability: dict[str, Array] = {}
    for group, names in enumerate(groups.values()):
        rng = np.random.default_rng([seed, group])
        matrices = [votes.matrices[name][rows] for name in names]
        tops = [top_k(deltas[name], tie_order, sizes) for name in names]
        percentages = np.empty((resamples, len(names), len(sizes)))
        for resample in percentages:
            for dimension, means in enumerate(resampled_means(matrices, rng)):
                top = top_k(means[chosen] - means[rejected], tie_order, sizes)
                kept = (top & tops[dimension]).sum(axis=1)
                resample[dimension] = 100 * kept / sizes
        stability |= {name: percentages[:, dimension] for dimension, name in enumerate(names)}
    return stability


def resampled_means(matrices: list[Array], rng: np.random.Generator) -> list[Array]:
    """Return for each dimension the means of votes drawn with replacement from each trace's votes.

    `matrices` are trace x vote, NaN after a trace's last vote. A trace has equally many votes in
    all of them.
    """
    counts = vote_counts(matrices[0])
    rows = np.arange(len(counts))
    totals = np.zeros((len(matrices), len(counts)))
    for vote in range(int(counts.max())):
        column = (rng.random(len(counts)) * counts).astype(np.int64)
        for dimension, matrix in enumerate(matrices):
            totals[dimension] += np.where(vote < counts, matrix[rows, column], 0)
    return list(totals / counts)


def top_k(deltas: Array, tie_order: Indices, sizes: list[int]) -> Mask:
    """Return which pairs have the k largest deltas, k x pair. `tie_order` breaks ties."""
    total = len(deltas)
    # One distinct whole number for each pair, so that a partition finds the cuts.
    keys = np.rint(deltas * 10**DECIMALS).astype(np.int64) * total - tie_order
    ranks = [total - k for k in sizes]
    cuts = np.partition(keys, ranks)[ranks]
    mask: Mask = keys >= cuts[:, None]
    return mask
