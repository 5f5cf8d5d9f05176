"""Recorded traces: replies that somebody else's model gave, beside which none is asked for."""

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from delta.core import tables
from delta.core.errors import InputError
from delta.core.fingerprint import RECORDING as FILE
from delta.core.schemas import RECORDING
from delta.core.tables import frame_of
from delta.core.types import Counts

CARD = "recording.json"  # where it comes from, and what was left out of it
BATCH = 1_000  # traces in memory at once; of DeepSeek-R1 they have 16,000 characters each


def write_recording(
    folder: Path,
    found: Iterable[dict[str, Any] | str],
    origin: dict[str, str],
    tell: Callable[[str], None],
) -> Counts:
    """Traces into `folder`, batch by batch; what is a word is the reason why one is none.

    `tell` hears every ten seconds how far it is. Returned are the counts; with `origin` they stand
    on the card.
    """
    dropped, traces, problem_ids = Counter[str](), 0, set[str]()
    schema = frame_of([], RECORDING).to_arrow().schema
    rows, told = _traces(found, dropped), time.monotonic()
    with pq.ParquetWriter(folder / FILE, schema, compression="zstd") as file:
        while batch := list(itertools.islice(rows, BATCH)):
            file.write_table(frame_of(batch, RECORDING).to_arrow())
            traces += len(batch)
            problem_ids |= {row["problem_id"] for row in batch}
            if time.monotonic() - told > 10:
                told = time.monotonic()
                tell(f"{traces:,} traces of {len(problem_ids):,} problems so far")
    counts = {"traces": traces, "problems": len(problem_ids), "left_out": dict(dropped)}
    (folder / CARD).write_text(json.dumps(origin | counts, indent=2) + "\n", encoding="utf-8")
    return counts


def _traces(
    found: Iterable[dict[str, Any] | str], dropped: Counter[str]
) -> Iterable[dict[str, Any]]:
    for one in found:
        if isinstance(one, str):
            dropped[one] += 1
        else:
            yield one


def read_recording(
    problems: pl.DataFrame, folder: Path, most: int | None
) -> tuple[Iterator[pl.DataFrame], Counts]:
    """RECORDING rows of these problems, at most `most` (null: all) of each in sample order, and
    counts.

    They stand in the order of the problems, and come few at a time where the file has that order.
    Raises InputError where the file is damaged (in its texts: when these are read), or holds no
    trace of any of the problems.
    """
    path = folder / FILE
    recording = _scanned(path)
    wanted = problems.select("problem_id").with_row_index("place").lazy()
    with tables.reading(path):
        there = (
            recording.select("problem_id", "sample")
            .with_row_index("row")
            .join(wanted, on="problem_id")
            .collect()
        )
    kept = there.sort("place", "sample")
    if most is not None:
        kept = kept.group_by("problem_id", maintain_order=True).head(most)
    if kept.is_empty():
        raise InputError(
            f"{path}: holds no trace of the {problems.height} problems; allowed: a recording whose "
            "`source` is the one in problems.sources that they come from"
        )
    with_traces = kept["problem_id"].n_unique()
    return _rows(path, recording, kept["row"]), {
        "problems": problems.height,
        "problems_without_a_trace": problems.height - with_traces,
        "recorded": there.height,
        "over_the_limit": there.height - kept.height,
        "traces": kept.height,
    }


def _rows(path: Path, recording: pl.LazyFrame, numbers: pl.Series) -> Iterator[pl.DataFrame]:
    """The rows of these numbers, in this order."""
    parts = list(numbers.to_frame("row").iter_slices(tables.TEXT_ROWS))
    if sum(_span(part)[1] for part in parts) > 2 * _span(numbers.to_frame())[1]:
        parts = [numbers.to_frame("row")]  # far from the file's order: read once, and kept
    for few in parts:
        first, length = _span(few)
        there = recording.slice(first, length).with_row_index("row", offset=first)
        with tables.reading(path):
            found = there.filter(pl.col("row").is_in(few["row"].implode())).collect(
                engine="streaming"
            )
        yield few.join(found, on="row", how="left", maintain_order="left").select(
            *RECORDING.columns
        )


def _span(numbers: pl.DataFrame) -> tuple[int, int]:
    """The first row of the file that is among them, and how many there are up to the last."""
    first, last = numbers.select(pl.first().min().alias("first"), pl.first().max()).row(0)
    return first, last - first + 1


def _scanned(path: Path) -> pl.LazyFrame:
    """The file, unread; its columns are checked."""
    try:
        schema = pl.read_parquet_schema(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).split("\n")[0]
        raise InputError(
            f"{path}: cannot be read as Parquet ({first}); rebuild it with `dvc repro`"
        ) from error
    for column, dtype in RECORDING.columns.items():
        if schema.get(column) != dtype:
            raise InputError(f"{path}: column {column!r} is {schema.get(column)}, allowed: {dtype}")
    return pl.scan_parquet(path)
