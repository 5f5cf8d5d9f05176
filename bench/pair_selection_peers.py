"""Pairs, selections, overlaps and resampled votes in idiomatic pandas and datasets.

`bench.pair_selection` measures our side against these.
"""

import itertools
import statistics
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from numpy.typing import NDArray

from delta.core.shuffle import shuffle_key
from delta.judging.rubric import DIMENSIONS, MEAN

SIDES = ("strong", "weak")
SUFFIXES = ("_strong", "_weak")
TIES = 6  # seed of the order of ties

Array = NDArray[np.float64]
Stability = dict[tuple[str, int], float]  # by dimension and k: mean percent selected again


class PairSets(NamedTuple):
    pairs: list[str]
    selected: dict[str, list[str]]  # by dimension
    overlaps: dict[str, float]  # "k dimension other" → percent


class PandasPairs(NamedTuple):
    """Pairs with their deltas, their order among ties, and the votes on both sides."""

    frame: pd.DataFrame
    votes: dict[str, tuple[Array, ...]]  # by dimension, and MEAN
    k: int

    @classmethod
    def read(cls, folder: Path, k: int) -> "PandasPairs":
        sides = []
        for side in SIDES:
            traces = pd.read_parquet(
                folder / f"traces_{side}.parquet", columns=["problem_id", "trace_id", "text"]
            )
            ratings = pd.read_parquet(
                folder / f"ratings_{side}.parquet", columns=["trace_id", "dimension", "votes"]
            )
            votes = ratings.pivot_table(
                index="trace_id", columns="dimension", values="votes", aggfunc="first"
            )
            sides.append(traces.merge(votes, left_on="trace_id", right_index=True))
        frame = sides[0].merge(sides[1], on="problem_id", suffixes=SUFFIXES)
        frame = frame[frame.text_strong != frame.text_weak].reset_index(drop=True)
        frame["pair_id"] = frame.trace_id_strong + ">" + frame.trace_id_weak
        frame["draw"] = [shuffle_key(TIES, pair_id) for pair_id in frame.pair_id]
        frame["length"] = frame.text_strong.str.len() - frame.text_weak.str.len()
        votes = {
            name: tuple(np.stack(frame[name + suffix].to_list()) for suffix in SUFFIXES)
            for name in DIMENSIONS
        }
        votes[MEAN] = tuple(sum(side) / len(side) for side in zip(*votes.values(), strict=True))
        for name, (strong, weak) in votes.items():
            frame[name] = (strong.mean(axis=1) - weak.mean(axis=1)).round(6)
        return cls(frame, votes, k)

    def top(self, by: str, k: int) -> pd.Series:
        return self.frame.sort_values([by, "draw"], ascending=[False, True]).pair_id.head(k)

    def pair_sets(self, sizes: list[int]) -> PairSets:
        selected = {name: self.top(name, self.k).to_list() for name in DIMENSIONS}
        return PairSets(sorted(self.frame.pair_id), selected, overlaps_of(selected, sizes))

    def resample(self, sizes: list[int], resamples: int) -> Stability:
        chance = np.random.default_rng(0)
        stability: Stability = {}
        for name, (strong, weak) in self.votes.items():
            original = self.top(name, max(sizes))
            percents = []
            for _ in range(resamples):
                self.frame["resampled"] = resampled_deltas(strong, weak, chance)
                top = self.top("resampled", max(sizes))
                percents.append([100 * original.head(k).isin(top.head(k)).mean() for k in sizes])
            stability |= averages(name, sizes, percents)
        return stability


class DatasetsPairs(NamedTuple):
    """The same with map, filter and sort; batched and in memory, the library's fast way."""

    pairs: datasets.Dataset
    k: int

    @classmethod
    def read(cls, folder: Path, k: int) -> "DatasetsPairs":
        votes_by_side: list[dict[str, Any]] = []
        for side in SIDES:
            ratings = load(folder / f"ratings_{side}.parquet", ["trace_id", "dimension", "votes"])
            votes: dict[str, dict[str, Any]] = {}
            for row in ratings:
                votes.setdefault(row["trace_id"], {})[row["dimension"]] = row["votes"]
            votes_by_side.append(votes)
        strong, weak = (
            load(folder / f"traces_{side}.parquet", ["problem_id", "trace_id", "text"])
            for side in SIDES
        )
        places = {problem_id: place for place, problem_id in enumerate(weak["problem_id"])}
        strong = strong.filter(lambda row: row["problem_id"] in places)

        def to_pair(row: dict[str, Any]) -> dict[str, Any]:
            other = weak[places[row["problem_id"]]]
            pair_id = f"{row['trace_id']}>{other['trace_id']}"
            columns: dict[str, Any] = {
                "pair_id": pair_id,
                "draw": shuffle_key(TIES, pair_id),
                "equal": row["text"] == other["text"],
                "length": len(row["text"]) - len(other["text"]),
            }
            chosen = votes_by_side[0][row["trace_id"]]
            rejected = votes_by_side[1][other["trace_id"]]
            for votes in (chosen, rejected):
                by_vote = zip(*(votes[name] for name in DIMENSIONS), strict=True)
                votes[MEAN] = [sum(scores) / len(scores) for scores in by_vote]
            for name in (*DIMENSIONS, MEAN):
                columns[f"strong {name}"], columns[f"weak {name}"] = chosen[name], rejected[name]
                delta = statistics.fmean(chosen[name]) - statistics.fmean(rejected[name])
                columns[name] = round(delta, 6)
            return columns

        pairs = strong.map(to_pair, remove_columns=strong.column_names, keep_in_memory=True)
        return cls(pairs.filter(lambda row: not row["equal"], keep_in_memory=True), k)

    def top(self, pairs: datasets.Dataset, by: str, k: int) -> list[str]:
        sort = pairs.sort([by, "draw"], reverse=[True, False], keep_in_memory=True)
        return list(sort.select(range(k))["pair_id"])

    def pair_sets(self, sizes: list[int]) -> PairSets:
        selected = {name: self.top(self.pairs, name, self.k) for name in DIMENSIONS}
        return PairSets(sorted(self.pairs["pair_id"]), selected, overlaps_of(selected, sizes))

    def resample(self, sizes: list[int], resamples: int) -> Stability:
        chance = np.random.default_rng(0)
        stability: Stability = {}
        for name in (*DIMENSIONS, MEAN):
            sides = (f"strong {name}", f"weak {name}")
            few = self.pairs.select_columns(["pair_id", "draw", *sides])
            original = self.top(self.pairs, name, max(sizes))

            def resample(batch: dict[str, Any], sides: tuple[str, str] = sides) -> dict[str, Any]:
                strong, weak = (np.array(batch[side]) for side in sides)
                return {"resampled": resampled_deltas(strong, weak, chance)}

            percents = []
            for _ in range(resamples):
                resampled = few.map(
                    resample, batched=True, remove_columns=list(sides), keep_in_memory=True
                )
                top = self.top(resampled, "resampled", max(sizes))
                percents.append([100 * len({*original[:k]} & {*top[:k]}) / k for k in sizes])
            stability |= averages(name, sizes, percents)
        return stability


def load(path: Path, columns: list[str]) -> datasets.Dataset:
    return datasets.Dataset.from_parquet(
        str(path), columns=columns, cache_dir=str(path.parent / "cache"), keep_in_memory=True
    )


def resampled_deltas(strong: Array, weak: Array, chance: np.random.Generator) -> Array:
    """Return the deltas of votes drawn with replacement; both arguments are pairs × votes."""
    means = [
        np.take_along_axis(votes, chance.integers(0, 5, votes.shape), axis=1).mean(axis=1)
        for votes in (strong, weak)
    ]
    return np.asarray((means[0] - means[1]).round(6))


def overlaps_of(selected: dict[str, list[str]], sizes: list[int]) -> dict[str, float]:
    return {
        f"{k} {by} {other}": 100 * len({*selected[by][:k]} & {*selected[other][:k]}) / k
        for k in sizes
        for by, other in itertools.permutations(selected, 2)
    }


def averages(name: str, sizes: list[int], percents: list[list[float]]) -> Stability:
    means = np.mean(percents, axis=0).tolist()
    return {(name, k): mean for k, mean in zip(sizes, means, strict=True)}
