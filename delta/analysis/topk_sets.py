"""The sets of pairs that a cut by one dimension's delta gives (Figure 5, appendix B): how they
overlap, what chance would give, ties at the cut, and whether other votes would give the same.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import special

from delta.analysis.bootstrap import mask, topk_stability
from delta.analysis.reliability import ONE_VOTE, PairRows, pair_rows
from delta.analysis.votes import GRID, MEAN, Array, Places, Votes, round4, vote_counts
from delta.core.errors import InputError
from delta.core.shuffle import shuffle_keys
from delta.core.types import Row
from delta.judging.rubric import DIMENSIONS
from delta.stats import rank_correlation

DELTA_PREFIX = "delta_"
UNEVEN = "a trace has more votes in one dimension than in another"


@dataclass(frozen=True)
class Ranking:
    """The pairs that have a delta in every dimension, so that all cuts are of the same pairs."""

    pairs: pl.DataFrame  # in the order of their ids
    deltas: dict[str, Array]  # by dimension, and MEAN
    draw: Places  # of each pair its place in the seeded order that breaks ties


def rank_pairs(selected: pl.DataFrame, seed: int) -> Ranking:
    """`seed` is the selector's: ties are broken here as delta.pairing.select breaks them."""
    names = [DELTA_PREFIX + name for name in DIMENSIONS if DELTA_PREFIX + name in selected.columns]
    pairs = selected.drop_nulls(names).sort("pair_id") if names else selected.clear()
    deltas = {name.removeprefix(DELTA_PREFIX): pairs[name].to_numpy() for name in names}
    if names:
        deltas[MEAN] = np.round(np.column_stack(list(deltas.values())).mean(axis=1), GRID)
    keys = shuffle_keys(seed, each=pairs["pair_id"])
    return Ranking(pairs, deltas, np.argsort(keys.arg_sort().to_numpy()))


def sort_pairs(score: Array, draw: Places) -> Places:
    """Places of the pairs, the largest score first, and equal ones in the order drawn."""
    places: Places = np.lexsort((draw, -score))
    return places


def overlap_rows(ranked: Ranking, sizes: list[int]) -> list[Row]:
    """For each k and two dimensions (both ways round, for a heat map) how many percent of the k
    first by the one are among the k first by the other; what two random sets of k would share,
    with the 95 % range of that; and the rank correlation of the two deltas over all pairs.

    One seed breaks the ties of all dimensions, so of what ties in two the same pairs are in both
    sets. `overlap_own_ties`: what is left, on average, where each dimension draws its own lots.
    """
    names = [name for name in ranked.deltas if name != MEAN]
    first = {name: sort_pairs(ranked.deltas[name], ranked.draw) for name in names}
    both_ways = list(itertools.permutations(names, 2))
    alike = {
        frozenset(two): spearman_row(*(ranked.deltas[name] for name in two))
        for two in itertools.combinations(names, 2)
    }
    found = []
    for k in sorted(sizes):
        shared = _shared(ranked, first, k)
        for one, other in both_ways:
            row: Row = {"k": k, "dimension": one, "other": other}
            found.append(row | shared[frozenset((one, other))] | alike[frozenset((one, other))])
    return found


def _shared(ranked: Ranking, first: dict[str, Places], k: int) -> dict[frozenset[str], Row]:
    """By two dimensions; `first`: the pairs in the order by each."""
    total = ranked.pairs.height
    row: Row = {"pairs": total, "why": _too_few(k, total)}
    names = ("overlap", "overlap_own_ties", "chance", "chance_low", "chance_high")
    twos = list(itertools.combinations(first, 2))
    if k > total:
        return {frozenset(two): row | dict.fromkeys(names) for two in twos}
    chance = chance_overlap(total, k)
    inside = {name: mask(places[:k], total) for name, places in first.items()}
    own = {
        name: inclusion_probability(ranked.deltas[name], ranked.deltas[name][places[k - 1]], k)
        for name, places in first.items()
    }
    found = {}
    for one, other in twos:
        shared = int(np.count_nonzero(inside[one] & inside[other])) / k
        lots = float(own[one] @ own[other]) / k
        figures = (round4(100 * shared), round4(100 * lots), *chance)
        found[frozenset((one, other))] = row | dict(zip(names, figures, strict=True))
    return found


def inclusion_probability(delta: Array, at: float, k: int) -> Array:
    """The chance of each pair to be among the k first, where lots decide at the cut, `at`."""
    above, tied = delta > at, delta == at
    share: Array = above + tied * ((k - above.sum()) / tied.sum())
    return share


def chance_overlap(total: int, k: int) -> tuple[float, float, float]:
    """Mean, 2.5 % and 97.5 % points of the overlap, in percent of k, of two random sets of k."""
    shared = np.arange(max(0, 2 * k - total), k + 1)

    def ways(n: int, of: Any) -> Any:  # logarithm of the binomial coefficient
        return special.gammaln(n + 1) - special.gammaln(of + 1) - special.gammaln(n - of + 1)

    chance = np.exp(ways(k, shared) + ways(total - k, k - shared) - ways(total, k))
    # A sum of rounded numbers may end just below 0.975 where all of it lies at one place.
    below = np.cumsum(chance) / chance.sum()
    low, high = (int(shared[np.searchsorted(below, point)]) for point in (0.025, 0.975))
    return round(100 * k / total, 4), round(100 * low / k, 4), round(100 * high / k, 4)


def cut_rows(
    ranked: Ranking, votes: Votes, sizes: list[int], resamples: int, seed: int
) -> list[Row]:
    """For each dimension and k: how many pairs tie at the cut and how many of them are in; and
    `stability`: the mean percentage of the set that is in it again when every trace's votes are
    drawn anew from those it has, with replacement, and the 95 % range of that.

    Drawn votes are noisier than the votes themselves, so a set is a little more stable than that.
    """
    both = pair_rows(votes, ranked.pairs)
    if len(both.chosen) < ranked.pairs.height:
        raise InputError("pairs have deltas and no ratings; rebuild them with `dvc repro`")
    firsts = {name: sort_pairs(delta, ranked.draw) for name, delta in ranked.deltas.items()}
    fitting = [k for k in sizes if k <= ranked.pairs.height]
    again = {}
    if fitting and firsts:
        again = topk_stability(votes, both, ranked.draw, firsts, fitting, resamples, seed)
    found = []
    for dimension, first in firsts.items():
        delta = ranked.deltas[dimension]
        why = None if dimension in again else _undrawn(votes.matrices[dimension], both)
        for k in sizes:
            row: Row = {"dimension": dimension, "k": k, "pairs": len(first)}
            row |= _ties(delta, first, k) if k in fitting else _ties(delta, first[:0], k)
            known = dimension in again and k in fitting
            row |= _range(again[dimension][:, fitting.index(k)] if known else None)
            found.append(row | {"why": _too_few(k, len(first)) or why})
    return found


def _undrawn(matrix: Array, both: PairRows) -> str:
    several = any(bool((vote_counts(matrix[side]) > 1).any()) for side in both)
    return UNEVEN if several else ONE_VOTE


def _ties(delta: Array, first: Places, k: int) -> Row:
    if not len(first):
        return {"delta_at_cut": None, "tied": None, "tied_and_in": None}
    at = delta[first[k - 1]]
    inside = int((delta[first[:k]] == at).sum())
    return {"delta_at_cut": round4(at), "tied": int((delta == at).sum()), "tied_and_in": inside}


def _range(shares: Array | None) -> Row:
    if shares is None:
        return {"stability": None, "stability_low": None, "stability_high": None}
    low, high = np.quantile(shares, (0.025, 0.975))
    return {
        "stability": round4(shares.mean()),
        "stability_low": round4(low),
        "stability_high": round4(high),
    }


def _too_few(k: int, total: int) -> str | None:
    return None if k <= total else f"only {total} pairs have all deltas"


def length_rows(ranked: Ranking) -> list[Row]:
    """Does a dimension only measure which trace is longer? Correlations of the delta with the
    difference of lengths in characters, over all pairs; the interval is that of Spearman's."""
    length = ranked.pairs["length_difference"].cast(pl.Float64).to_numpy()
    return [
        {"dimension": dimension, "pearson": pearson(delta, length)}
        | spearman_row(delta, length)
        | {"pairs": len(delta)}
        for dimension, delta in ranked.deltas.items()
    ]


def pearson(one: Array, other: Array) -> float | None:
    """None where a side never differs."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return round4(float(np.corrcoef(one, other)[0, 1]))


def spearman_row(one: Array, other: Array) -> Row:
    found = rank_correlation.spearman(one, other)
    value, low, high = found[:3] if found else (None, None, None)
    figures = {"spearman": value, "spearman_low": low, "spearman_high": high}
    return {name: round4(figure) for name, figure in figures.items()}
