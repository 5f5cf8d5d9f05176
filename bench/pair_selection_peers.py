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

from delta.analysis.votes import MEAN
from delta.core.shuffle import shuffle_key
from delta.judging.rubric import DIMENSIONS

SIDES = ("strong", "weak")
SUFFIXES = ("_strong", "_weak")
TIES = 6  # seed of the order of ties

Array = NDArray[np.float64]
Shares = dict[tuple[str, int], float]  # by dimension and k: mean percent found again


class Found(NamedTuple):
    pairs: list[str]
    selected: dict[str, list[str]]  # by dimension
    overlaps: dict[str, float]  # "k dimension other" → percent


class PandasPairs(NamedTuple):
    """Pairs with their deltas, their order among ties, and the votes on both sides."""

    frame: pd.DataFrame
    votes: dict[str, tuple[Array, ...]]  # by dimension, and MEAN
    k: int

    @classmethod
    def of(cls, folder: Path, k: int) -> "PandasPairs":
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
        frame["draw"] = [shuffle_key(TIES, one) for one in frame.pair_id]
        frame["length"] = frame.text_strong.str.len() - frame.text_weak.str.len()
        votes = {
            name: tuple(np.stack(frame[name + suffix].to_list()) for suffix in SUFFIXES)
            for name in DIMENSIONS
        }
        votes[MEAN] = tuple(sum(of) / len(of) for of in zip(*votes.values(), strict=True))
        for name, (strong, weak) in votes.items():
            frame[name] = (strong.mean(axis=1) - weak.mean(axis=1)).round(6)
        return cls(frame, votes, k)

    def first(self, by: str, k: int) -> pd.Series:
        return self.frame.sort_values([by, "draw"], ascending=[False, True]).pair_id.head(k)

    def found(self, sizes: list[int]) -> Found:
        selected = {name: self.first(name, self.k).to_list() for name in DIMENSIONS}
        return Found(sorted(self.frame.pair_id), selected, overlaps_of(selected, sizes))

    def again(self, sizes: list[int], resamples: int) -> Shares:
        chance = np.random.default_rng(0)
        shares: Shares = {}
        for name, sides in self.votes.items():
            was = self.first(name, max(sizes))
            found = []
            for _ in range(resamples):
                drawn = [
                    np.take_along_axis(one, chance.integers(0, 5, one.shape), axis=1)
                    for one in sides
                ]
                means = [one.mean(axis=1) for one in drawn]
                self.frame["again"] = (means[0] - means[1]).round(6)
                now = self.first("again", max(sizes))
                found.append([100 * was.head(k).isin(now.head(k)).mean() for k in sizes])
            shares |= averages(name, sizes, found)
        return shares


class DatasetsPairs(NamedTuple):
    """The same with map, filter and sort; batched and in memory, the library's fast way."""

    pairs: datasets.Dataset
    k: int

    @classmethod
    def of(cls, folder: Path, k: int) -> "DatasetsPairs":
        held: list[dict[str, Any]] = []
        for side in SIDES:
            ratings = load(folder / f"ratings_{side}.parquet", ["trace_id", "dimension", "votes"])
            votes: dict[str, dict[str, Any]] = {}
            for row in ratings:
                votes.setdefault(row["trace_id"], {})[row["dimension"]] = row["votes"]
            held.append(votes)
        strong, weak = (
            load(folder / f"traces_{side}.parquet", ["problem_id", "trace_id", "text"])
            for side in SIDES
        )
        places = {one: place for place, one in enumerate(weak["problem_id"])}
        strong = strong.filter(lambda row: row["problem_id"] in places)

        def paired(row: dict[str, Any]) -> dict[str, Any]:
            other = weak[places[row["problem_id"]]]
            pair_id = f"{row['trace_id']}>{other['trace_id']}"
            made: dict[str, Any] = {
                "pair_id": pair_id,
                "draw": shuffle_key(TIES, pair_id),
                "equal": row["text"] == other["text"],
                "length": len(row["text"]) - len(other["text"]),
            }
            ours, theirs = held[0][row["trace_id"]], held[1][other["trace_id"]]
            ours[MEAN], theirs[MEAN] = (
                [
                    sum(each) / len(each)
                    for each in zip(*(one[name] for name in DIMENSIONS), strict=True)
                ]
                for one in (ours, theirs)
            )
            for name in (*DIMENSIONS, MEAN):
                made[f"strong {name}"], made[f"weak {name}"] = ours[name], theirs[name]
                delta = statistics.fmean(ours[name]) - statistics.fmean(theirs[name])
                made[name] = round(delta, 6)
            return made

        pairs = strong.map(paired, remove_columns=strong.column_names, keep_in_memory=True)
        return cls(pairs.filter(lambda row: not row["equal"], keep_in_memory=True), k)

    def first(self, pairs: datasets.Dataset, by: str, k: int) -> list[str]:
        sort = pairs.sort([by, "draw"], reverse=[True, False], keep_in_memory=True)
        return list(sort.select(range(k))["pair_id"])

    def found(self, sizes: list[int]) -> Found:
        selected = {name: self.first(self.pairs, name, self.k) for name in DIMENSIONS}
        return Found(sorted(self.pairs["pair_id"]), selected, overlaps_of(selected, sizes))

    def again(self, sizes: list[int], resamples: int) -> Shares:
        chance = np.random.default_rng(0)
        shares: Shares = {}
        for name in (*DIMENSIONS, MEAN):
            sides = (f"strong {name}", f"weak {name}")
            few = self.pairs.select_columns(["pair_id", "draw", *sides])
            was = self.first(self.pairs, name, max(sizes))

            def redrawn(batch: dict[str, Any], sides: tuple[str, str] = sides) -> dict[str, Any]:
                votes = [np.array(batch[side]) for side in sides]
                drawn = [
                    np.take_along_axis(one, chance.integers(0, 5, one.shape), axis=1)
                    for one in votes
                ]
                return {"again": (drawn[0].mean(axis=1) - drawn[1].mean(axis=1)).round(6)}

            found = []
            for _ in range(resamples):
                again = few.map(
                    redrawn, batched=True, remove_columns=list(sides), keep_in_memory=True
                )
                now = self.first(again, "again", max(sizes))
                found.append([100 * len({*was[:k]} & {*now[:k]}) / k for k in sizes])
            shares |= averages(name, sizes, found)
        return shares


def load(path: Path, columns: list[str]) -> datasets.Dataset:
    return datasets.Dataset.from_parquet(
        str(path), columns=columns, cache_dir=str(path.parent / "cache"), keep_in_memory=True
    )


def overlaps_of(selected: dict[str, list[str]], sizes: list[int]) -> dict[str, float]:
    return {
        f"{k} {one} {other}": 100 * len({*selected[one][:k]} & {*selected[other][:k]}) / k
        for k in sizes
        for one, other in itertools.permutations(selected, 2)
    }


def averages(name: str, sizes: list[int], found: list[list[float]]) -> Shares:
    return {(name, k): float(mean) for k, mean in zip(sizes, np.mean(found, axis=0), strict=True)}
