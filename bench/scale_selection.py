"""Select the top k pairs in two passes over Parquet files, in nearly constant memory.

Deltas lie on a grid (the difference of two means of five votes has 41 values), so counts of values
rank all pairs except ties, and the first pass finds the cut exactly. Ties are ordered by a seeded
hash. The m-th smallest of n uniform hashes is known to within about √n places before any is
computed. The second pass takes the pairs that lie surely below it, keeps the few in doubt, and
counts whether the estimate was right.

`python -m bench.scale` measures both ways, in seconds, CPU seconds and MiB of memory.
"""

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench import results
from bench.scale_store import memory
from delta.core.errors import InputError
from delta.core.shuffle import shuffle_key
from delta.pairing.select import SelectorParams, select

BATCH = 1 << 17  # rows in memory at once
SIGMAS = 8.0  # of the window in doubt; wrong once in 10¹⁵ times, and noticed then
DIGITS = 12  # hexadecimal, of a hash as a place between 0 and 1

MOST = 100_000_000  # rows
FILES = 100  # of as many rows each; sizes: 1, 10 and all of them
TARGET = 1_000_000_000
TURNS = 3  # of the smallest size
SEED = 6


class Cut(NamedTuple):
    """Result of the first pass: of the `tied` pairs with this score, `needed` are selected."""

    score: float
    needed: int
    tied: int
    values: int  # different scores


def top(files: Sequence[Path], k: int, seed: int, into: Path) -> Cut:
    """Write the ids of the k pairs with the largest score, ties by seeded hash, in file order."""
    cut = find_cut(files, k)
    low, high = window(cut, SIGMAS)
    while not _write_top(files, cut, seed, into, low, high):
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
    raise InputError(f"k = {k}: expected 1 to {above}, the number of pairs with a score")


def window(cut: Cut, sigmas: float) -> tuple[float, float]:
    """Return the interval within 0 to 1 that holds the last selected hash."""
    fraction = cut.needed / cut.tied
    spread = sigmas * (math.sqrt(fraction * (1 - fraction) / cut.tied) + 1 / cut.tied)
    return max(0.0, fraction - spread), min(1.0, fraction + spread)


def _write_top(
    files: Sequence[Path], cut: Cut, seed: int, into: Path, low: float, high: float
) -> bool:
    """Run the second pass; return False if the window missed the last selected pair."""
    schema = pa.schema([("pair_id", pa.string())])
    certain, uncertain = 0, []
    with pq.ParquetWriter(into, schema) as writer:
        for batch in _batches(files, ["pair_id", "score"]):
            above = batch.filter(pc.greater(batch["score"], cut.score))
            writer.write_batch(above.select(["pair_id"]).cast(schema))
            selected = []
            for pair_id in batch.filter(pc.equal(batch["score"], cut.score))["pair_id"].to_pylist():
                key = shuffle_key(seed, pair_id)
                place = int(key[:DIGITS], 16) / 16**DIGITS
                if place < low:
                    selected.append(pair_id)
                elif place <= high:
                    uncertain.append((key, pair_id))
            certain += len(selected)
            writer.write_table(pa.table([selected], schema=schema))
        remaining = cut.needed - certain
        if not 0 <= remaining <= len(uncertain):
            return False
        last = [pair_id for _, pair_id in sorted(uncertain)[:remaining]]
        writer.write_table(pa.table([last], schema=schema))
    return True


def _batches(files: Sequence[Path], columns: list[str]) -> Iterator[Any]:
    for file in files:
        with pq.ParquetFile(file) as content:
            yield from content.iter_batches(batch_size=BATCH, columns=columns)


def synthetic_pairs(file: int, rows: int) -> pl.DataFrame:
    """Return pairs with five votes per side, a little higher on chosen, and their deltas."""
    random = np.random.default_rng(file)
    draws = random.integers(0, 20, (2, rows, 5), dtype=np.uint8)
    chosen = np.repeat([1, 2, 3, 4, 5], [1, 2, 4, 7, 6])[draws[0]]  # twentieths
    rejected = np.repeat([1, 2, 3, 4, 5], [2, 4, 6, 5, 3])[draws[1]]
    samples = random.integers(0, 8, (2, rows))
    places = {"number": np.arange(file * rows, (file + 1) * rows)}
    return (
        pl.DataFrame(places | {"strong": samples[0], "weak": samples[1]})
        .select(
            problem_id=pl.format("openr1-{}", "number"),
            chosen_id=pl.format("openr1-{}/s1-32b/{}", "number", "strong"),
            rejected_id=pl.format("openr1-{}/s1-3b/{}", "number", "weak"),
        )
        .with_columns(pair_id=pl.format("{}>{}", "chosen_id", "rejected_id"))
        .with_columns(
            pl.Series("chosen_votes", chosen),
            pl.Series("rejected_votes", rejected),
            pl.Series("score", (chosen.sum(1) - rejected.sum(1)) / 5),
        )
    )


def stage_tables(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the same pairs as the tables that `select` reads."""
    outcomes = {f"{side}_outcome": pl.lit("correct") for side in ("chosen", "rejected")}
    pairs = rows.select(
        "pair_id", "problem_id", "chosen_id", "rejected_id", **outcomes
    ).with_columns(length_difference=pl.int_range(pl.len()), recipe=pl.lit("strong > weak"))
    sides = [
        rows.select(
            trace_id=f"{side}_id",
            judge=pl.lit("synthetic"),
            dimension=pl.lit("step_coherence"),
            votes=pl.col(f"{side}_votes").arr.to_list(),
            refused=pl.lit(0),
        )
        for side in ("chosen", "rejected")
    ]
    return pairs, pl.concat(sides)


class RankRun(NamedTuple):
    rows: int
    seconds: float
    cpu_seconds: float  # of this process and its threads
    grown: int  # bytes of memory beyond those before
    cut: Cut


class Measurement(NamedTuple):
    text: str
    bytes_a_pair: float  # of memory, by `select` itself


def top_count(rows: int) -> int:
    """Return the paper's largest top-k fraction of `rows`: 5,000 of 16,500."""
    return rows * 5_000 // 16_500


def measure_passes(files: Sequence[Path], rows: int) -> RankRun:
    """Measure the two passes. Call it in a fresh process."""
    before, start, core = memory("VmRSS"), time.perf_counter(), time.process_time()
    cut = top(files, top_count(rows), SEED, files[0].with_name("top.parquet"))
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - core
    return RankRun(rows, seconds, cpu_seconds, memory("VmHWM") - before, cut)


def measure_select(rows: int) -> tuple[float, float, int, set[str]]:
    """Run `select` on the first file; return seconds, CPU seconds, bytes grown, and pair ids."""
    before = memory("VmRSS")
    pairs, ratings = stage_tables(synthetic_pairs(0, rows))
    params = SelectorParams(
        mode="top", by="step_coherence", k=top_count(rows), quantile=None, seed=SEED
    )
    start, core = time.perf_counter(), time.process_time()
    table, _ = select(params, pairs, ratings)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - core
    selected = set(table.filter("selected")["pair_id"])
    return seconds, cpu_seconds, memory("VmHWM") - before, selected


def measure(folder: Path, most: int) -> Measurement:
    smallest = most // FILES
    seconds, cpu_seconds, grown, expected = results.in_fresh_process(measure_select, smallest)
    files = [folder / f"{file}.parquet" for file in range(FILES)]
    for number, file in enumerate(files):
        synthetic_pairs(number, smallest).select("pair_id", "score").write_parquet(file)
    runs = []
    for number in (1, 10, FILES):
        size = number * smallest
        turns = [
            results.in_fresh_process(measure_passes, files[:number], size)
            for _ in range(TURNS if number == 1 else 1)
        ]
        runs.append(sorted(turns, key=lambda run: run.cpu_seconds)[len(turns) // 2])
        selected = pl.scan_parquet(folder / "top.parquet")
        assert selected.select(pl.len()).collect().item() == top_count(size)
        if number == 1:
            same = set(selected.collect()["pair_id"]) == expected
            assert same, "the two passes take other pairs than select"
    bytes_a_row = sum(file.stat().st_size for file in files) / most
    first = ["`select`, in memory", f"{smallest:,}", f"{seconds:.1f}", f"{cpu_seconds:.1f}"]
    rows = [[*first, _mib(grown), "", ""], *map(_row, runs)]
    head = ["way", "pairs", "seconds", "CPU seconds", "MiB grown", "tied at the cut", "in doubt"]
    text = f"{results.table(head, rows)}\n\n{_fit(runs, bytes_a_row)}"
    return Measurement(text, grown / smallest)


def _row(run: RankRun) -> list[str]:
    low, high = window(run.cut, SIGMAS)
    numbers = [f"{run.seconds:.1f}", f"{run.cpu_seconds:.1f}", _mib(run.grown)]
    uncertain = f"{(high - low) * run.cut.tied:,.0f}"
    return ["two passes", f"{run.rows:,}", *numbers, f"{run.cut.tied:,}", uncertain]


def _fit(runs: list[RankRun], bytes_a_row: float) -> str:
    """Fit a line to the two largest sizes, check it at the smallest, and extrapolate."""
    smallest, first, last = runs
    slope = (last.cpu_seconds - first.cpu_seconds) / (last.rows - first.rows)
    fixed = first.cpu_seconds - slope * first.rows
    times = TARGET / last.rows
    tied, needed = int(last.cut.tied * times), int(last.cut.needed * times)
    low, high = window(last.cut._replace(tied=tied, needed=needed), SIGMAS)
    expected = fixed + slope * smallest.rows
    minutes = (fixed + slope * TARGET) / 60
    lines = [
        f"CPU seconds = {fixed:.1f} + {slope * 1e6:.2f} × millions of pairs, the line "
        f"through {first.rows:,} and {last.rows:,}.",
        f"At {smallest.rows:,}, which was not fitted, the line says {expected:.1f}; measured were "
        f"{smallest.cpu_seconds:.1f}.",
        f"At {TARGET:,}: {minutes:.0f} CPU minutes, {bytes_a_row * TARGET / 1e9:.0f} GB of "
        f"Parquet ({bytes_a_row:.1f} bytes per pair), about {(high - low) * tied:,.0f} ids in "
        "doubt.",
    ]
    return " ".join(lines)


def _mib(size: float) -> str:
    return f"{size / 2**20:,.0f}"
