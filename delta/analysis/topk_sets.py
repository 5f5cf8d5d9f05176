"""Top-k sets: the k pairs with the largest delta in a dimension (paper, figure 5, appendix B).

The tables say how the sets of two dimensions overlap, which overlap chance would give, how many
pairs tie at the cut, and how stable a set is under other votes.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from delta.analysis.bootstrap import top_k, topk_stability
from delta.analysis.reliability import ONE_VOTE, PairRows, pair_rows, pearson
from delta.analysis.votes import Array, Indices, Votes, rounded_row, vote_counts
from delta.core.errors import InputError
from delta.core.files import round4
from delta.core.schemas import delta_columns
from delta.core.shuffle import shuffle_keys
from delta.core.types import Row
from delta.judging.ratings import DECIMALS
from delta.judging.rubric import DIMENSIONS, MEAN
from delta.stats.rank_correlation import spearman

OVERLAP = ("overlap", "overlap_own_ties", "chance", "chance_low", "chance_high")
TIES = ("delta_at_cut", "tied", "tied_and_in")
STABILITY = ("stability", "stability_low", "stability_high")
UNEQUAL = "a trace has more votes in one dimension than in another"


@dataclass(frozen=True)
class Ranking:
    """The pairs that have a delta in every dimension, so that all cuts are of the same pairs."""

    pairs: pl.DataFrame  # in the order of their ids
    deltas: dict[str, Array]  # by dimension, and MEAN
    tie_order: Indices  # each pair's rank in the seeded order that breaks ties


def rank_pairs(selected: pl.DataFrame, seed: int) -> Ranking:
    """Return the pairs in a form that ranks them as delta.pairing.select does with this `seed`."""
    columns = delta_columns(selected)
    columns = {name: columns[name] for name in DIMENSIONS if name in columns}
    pairs = selected.drop_nulls([*columns.values()]) if columns else selected.clear()
    pairs = pairs.sort("pair_id")
    deltas = {name: pairs[column].to_numpy() for name, column in columns.items()}
    if deltas:
        deltas[MEAN] = np.round(np.column_stack(list(deltas.values())).mean(axis=1), DECIMALS)
    keys = shuffle_keys(seed, each=pairs["pair_id"])
    return Ranking(pairs, deltas, np.argsort(keys.arg_sort().to_numpy()))


def overlap_rows(ranked: Ranking, sizes: list[int]) -> list[Row]:
    """Return for each k and ordered pair of dimensions how their two sets of k pairs overlap.

    overlap: the percentage of a set that is in the other. One seed breaks the ties of all
    dimensions, so pairs that tie in two dimensions are in both sets. overlap_own_ties: the same if
    each dimension broke its ties at random. chance: the overlap of two random sets, with its 95%
    range. spearman: the rank correlation of the two deltas over all pairs.
    """
    names = [name for name in ranked.deltas if name != MEAN]
    total = ranked.pairs.height
    correlations = {
        frozenset((first, second)): spearman_row(ranked.deltas[first], ranked.deltas[second])
        for first, second in itertools.combinations(names, 2)
    }
    rows: list[Row] = []
    for k in sorted(sizes):
        too_few = _too_few(k, total)
        if too_few is None:
            chance = chance_overlap(total, k)
            masks = {name: top_k(ranked.deltas[name], ranked.tie_order, [k])[0] for name in names}
            chances = {
                name: inclusion_probability(ranked.deltas[name], masks[name]) for name in names
            }
        for first, second in itertools.permutations(names, 2):
            row: Row = {"k": k, "dimension": first, "other": second, "pairs": total, "why": too_few}
            row |= dict.fromkeys(OVERLAP)
            if too_few is None:
                overlap = 100 * int((masks[first] & masks[second]).sum()) / k
                own_ties = 100 * float(chances[first] @ chances[second]) / k
                row |= rounded_row(OVERLAP, (overlap, own_ties, *chance))
            rows.append(row | correlations[frozenset((first, second))])
    return rows


def inclusion_probability(deltas: Array, selected: Array) -> Array:
    """Return each pair's chance to be in the set if ties at the cut were broken at random."""
    cut = deltas[selected].min()
    above, tied = deltas > cut, deltas == cut
    chance: Array = above + tied * ((selected.sum() - above.sum()) / tied.sum())
    return chance


def chance_overlap(total: int, k: int) -> tuple[float, float, float]:
    """Return mean and 95% range of the overlap of two random sets of k pairs, in percent of k."""
    low, high = stats.hypergeom(total, k, k).ppf((0.025, 0.975))
    return 100 * k / total, 100 * float(low) / k, 100 * float(high) / k


def stability_rows(
    ranked: Ranking, votes: Votes, sizes: list[int], resamples: int, seed: int
) -> list[Row]:
    """Return for each dimension and k the ties at the cut, and the set's stability.

    stability: the mean percentage of the set that is selected again from resampled votes, with its
    95% range. Resampled votes are noisier than the votes, so the percentage is a little too low.
    """
    pairs = pair_rows(votes, ranked.pairs)
    total = ranked.pairs.height
    if len(pairs.chosen) < total:
        raise InputError("pairs have deltas and no ratings; rebuild them with `dvc repro`")
    possible = [k for k in sizes if k <= total]
    deltas, order = ranked.deltas, ranked.tie_order
    stability = {}
    if possible and deltas:
        stability = topk_stability(votes, pairs, order, deltas, possible, resamples, seed)
    rows = []
    for dimension in deltas:
        why = None if dimension in stability else _why_unstable(votes.matrices[dimension], pairs)
        for k in sizes:
            row: Row = {"dimension": dimension, "k": k, "pairs": total}
            row |= dict.fromkeys((*TIES, *STABILITY))
            if k <= total:
                row |= _ties(deltas[dimension], order, k)
                if dimension in stability:
                    percentages = stability[dimension][:, possible.index(k)]
                    bounds = np.quantile(percentages, (0.025, 0.975))
                    row |= rounded_row(STABILITY, (percentages.mean(), *bounds))
            rows.append(row | {"why": _too_few(k, total) or why})
    return rows


def _why_unstable(matrix: Array, pairs: PairRows) -> str:
    """Return why a dimension has no stability."""
    several = (vote_counts(matrix[np.concatenate(pairs)]) > 1).any()
    return UNEQUAL if several else ONE_VOTE


def _ties(deltas: Array, tie_order: Indices, k: int) -> Row:
    selected = top_k(deltas, tie_order, [k])[0]
    cut = deltas[selected].min()
    tied = deltas == cut
    inside = int((tied & selected).sum())
    return dict(zip(TIES, (round4(cut), int(tied.sum()), inside), strict=True))


def _too_few(k: int, total: int) -> str | None:
    return None if k <= total else f"only {total} pairs have all deltas"


def length_rows(ranked: Ranking) -> list[Row]:
    """Return for each dimension the correlations of delta and length difference in characters.

    A strong correlation means that the dimension measures which trace is longer. The interval is
    Spearman's.
    """
    lengths = ranked.pairs["length_difference"].cast(pl.Float64).to_numpy()
    return [
        {"dimension": dimension, "pearson": round4(pearson(deltas, lengths))}
        | spearman_row(deltas, lengths)
        | {"pairs": len(deltas)}
        for dimension, deltas in ranked.deltas.items()
    ]


def spearman_row(first: Array, second: Array) -> Row:
    """Return Spearman's correlation with its 95% interval, each None where it is not defined."""
    return rounded_row(("spearman", "spearman_low", "spearman_high"), spearman(first, second))
