"""Bootstrap of the judge's votes: would other votes have selected the same pairs?"""

import numpy as np

from delta.analysis.reliability import PairRows
from delta.analysis.votes import DECIMALS, Array, Indices, Mask, Votes, vote_counts


def topk_stability(
    votes: Votes,
    pairs: PairRows,
    tie_order: Indices,
    deltas: dict[str, Array],
    sizes: list[int],
    resamples: int,
    seed: int,
) -> dict[str, Array]:
    """Return by dimension, resample x k, the percentage of the k top pairs that stay in the top.

    A resample draws every trace's votes with replacement. Dimensions in which each trace has as
    many votes share their draws, because one reply of a judge votes on all. Left out are
    dimensions where a trace has no vote, or none has several.
    """
    rows, index = np.unique(np.concatenate(pairs), return_inverse=True)
    chosen, rejected = np.split(index, 2)
    groups: dict[bytes, list[str]] = {}
    for name in deltas:
        number = vote_counts(votes.matrices[name][rows])
        if number.min() > 0 and number.max() > 1:
            groups.setdefault(number.tobytes(), []).append(name)
    stability: dict[str, Array] = {}
    for place, names in enumerate(groups.values()):
        rng = np.random.default_rng([seed, place])
        matrices = [votes.matrices[name][rows] for name in names]
        tops = [top_k(deltas[name], tie_order, sizes) for name in names]
        shares = np.empty((resamples, len(names), len(sizes)))
        for resample in shares:
            for dimension, means in enumerate(resampled_means(matrices, rng)):
                again = top_k(means[chosen] - means[rejected], tie_order, sizes)
                kept = (again & tops[dimension]).sum(axis=1)
                resample[dimension] = 100 * kept / sizes
        stability |= {name: shares[:, dimension] for dimension, name in enumerate(names)}
    return stability


def resampled_means(matrices: list[Array], rng: np.random.Generator) -> list[Array]:
    """Return in each dimension the means of votes drawn with replacement from each trace's votes.

    `matrices` are trace x vote, with equally many votes of a trace in each, NaN after them.
    """
    number = vote_counts(matrices[0])
    rows = np.arange(len(number))
    totals = np.zeros((len(matrices), len(number)))
    for vote in range(int(number.max())):
        column = (rng.random(len(number)) * number).astype(np.int64)
        for dimension, matrix in enumerate(matrices):
            totals[dimension] += np.where(vote < number, matrix[rows, column], 0)
    return list(totals / number)


def top_k(deltas: Array, tie_order: Indices, sizes: list[int]) -> Mask:
    """Return, k x pair, which pairs have the k largest deltas; `tie_order` decides between ties."""
    total = len(deltas)
    # One distinct whole number for each pair, so that a partition finds the cuts.
    keys = np.rint(deltas * 10**DECIMALS).astype(np.int64) * total - tie_order
    places = [total - k for k in sizes]
    cuts = np.partition(keys, places)[places]
    mask: Mask = keys >= cuts[:, None]
    return mask
