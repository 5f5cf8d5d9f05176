"""The cut of `select` in two passes over Parquet files, in memory that does not grow with the rows.

Deltas lie on a grid (two means of five votes: 41 values), so a count of values is a whole ranking
but for ties, and the first pass finds the cut exactly. Ties are ordered by a seeded hash, and of n
even hashes the m-th smallest is known to about √n places before any is computed: the second pass
takes what lies surely below, keeps the few in doubt, and counts whether it was right.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from delta.errors import InputError
from delta.order import draw_order

BATCH = 1 << 17  # rows in memory at once
SIGMAS = 8.0  # of the window in doubt; wrong once in 10¹⁵ times, and noticed then
DIGITS = 12  # hexadecimal, of a hash as a place between 0 and 1


class Cut(NamedTuple):
    """What the first pass finds. Of the pairs with this score `needed` of `tied` are in."""

    score: float
    needed: int
    tied: int
    values: int  # different scores


def top(files: Sequence[Path], k: int, seed: int, into: Path) -> Cut:
    """Write the ids of the k pairs with the largest score, ties by seeded hash, in file order."""
    cut = find_cut(files, k)
    low, high = window(cut, SIGMAS)
    while not _written(files, cut, seed, into, low, high):
        low, high = 0.0, 1.0  # the hashes were not even: keep all that tie
    return cut


def find_cut(files: Sequence[Path], k: int) -> Cut:
    counts: Counter[float] = Counter()
    for batch in _batches(files, ["score"]):
        for entry in pc.value_counts(batch["score"].drop_null()).to_pylist():
            counts[entry["values"]] += entry["counts"]
    above = 0
    for score in sorted(counts, reverse=True):
        if above + counts[score] >= k:
            return Cut(score, k - above, counts[score], len(counts))
        above += counts[score]
    raise InputError(f"k = {k}: only {above} pairs have a score; allowed: 1 to {above}")


def window(cut: Cut, sigmas: float) -> tuple[float, float]:
    """Between which places of 0 to 1 the last hash lies that is in."""
    share = cut.needed / cut.tied
    spread = sigmas * (math.sqrt(share * (1 - share) / cut.tied) + 1 / cut.tied)
    return max(0.0, share - spread), min(1.0, share + spread)


def _written(
    files: Sequence[Path], cut: Cut, seed: int, into: Path, low: float, high: float
) -> bool:
    """The second pass; False where the window did not hold the last pair that is in."""
    schema = pa.schema([("pair_id", pa.string())])
    sure, doubted = 0, []
    with pq.ParquetWriter(into, schema) as writer:
        for batch in _batches(files, ["pair_id", "score"]):
            taken = batch.filter(pc.greater(batch["score"], cut.score))["pair_id"].to_pylist()
            tied = batch.filter(pc.equal(batch["score"], cut.score))["pair_id"].to_pylist()
            for pair_id in tied:
                drawn = draw_order(seed, pair_id)
                place = int(drawn[:DIGITS], 16) / 16**DIGITS
                if place < low:
                    taken.append(pair_id)
                    sure += 1
                elif place <= high:
                    doubted.append((drawn, pair_id))
            writer.write_table(pa.table([taken], schema=schema))
        left = cut.needed - sure
        if not 0 <= left <= len(doubted):
            return False
        last = [pair_id for _, pair_id in sorted(doubted)[:left]]
        writer.write_table(pa.table([last], schema=schema))
    return True


def _batches(files: Sequence[Path], columns: list[str]) -> Iterator[Any]:
    for file in files:
        with pq.ParquetFile(file) as content:
            yield from content.iter_batches(batch_size=BATCH, columns=columns)
