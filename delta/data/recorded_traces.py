"""Traces produced elsewhere. Generators backed by a recording never call a model."""

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from delta.core import tables
from delta.core.errors import InputError
from delta.core.fingerprint import RECORDING_FILE
from delta.core.schemas import RECORDING
from delta.core.tables import frame_of
from delta.core.types import Counts, Row

METADATA = "recording.json"  # where the traces come from, and the counts
BATCH_ROWS = 1_000  # traces in memory at once; DeepSeek-R1's have 16,000 characters each
LOG_S = 10


def write_recording(
    folder: Path,
    items: Iterable[Row | str],
    metadata: dict[str, str],
    log: Callable[[str], None],
) -> Counts:
    """Write traces to `folder` in batches. An item that is a string is why a row was dropped.

    Calls `log` with the progress every LOG_S seconds. Returns the counts, which are also
    written to the metadata file.
    """
    dropped, traces, problem_ids = Counter[str](), 0, set[str]()
    schema = frame_of([], RECORDING).to_arrow().schema
    rows, last_log = _count_dropped(items, dropped), time.monotonic()
    with pq.ParquetWriter(folder / RECORDING_FILE, schema, compression="zstd") as file:
        while batch := list(itertools.islice(rows, BATCH_ROWS)):
            file.write_table(frame_of(batch, RECORDING).to_arrow())
            traces += len(batch)
            problem_ids |= {row["problem_id"] for row in batch}
            if time.monotonic() - last_log > LOG_S:
                last_log = time.monotonic()
                log(f"{traces:,} traces of {len(problem_ids):,} problems so far")
    counts = {"traces": traces, "problems": len(problem_ids), "left_out": dict(dropped)}
    content = json.dumps(metadata | counts, indent=2)
    (folder / METADATA).write_text(f"{content}\n", encoding="utf-8")
    return counts


def _count_dropped(items: Iterable[Row | str], dropped: Counter[str]) -> Iterator[Row]:
    for item in items:
        if isinstance(item, str):
            dropped[item] += 1
        else:
            yield item


def read_recording(
    problems: pl.DataFrame, folder: Path, max_per_problem: int | None
) -> tuple[Iterator[pl.DataFrame], Counts]:
    """Return the problems' RECORDING rows in parts, and counts.

    The rows are in the order of the problems, each problem's in sample order, at most
    `max_per_problem` of them (None: all). The parts are small where the file has that order.
    Raises InputError where the file is damaged or has no trace of any of the problems. Damage in
    the texts is found only when their part is read.
    """
    path = folder / RECORDING_FILE
    recording = tables.scan(path, RECORDING)
    positions = problems.select("problem_id").with_row_index("position").lazy()
    with tables.wrap_read_errors(path):
        rows = (
            recording.select("problem_id", "sample")
            .with_row_index("row")
            .join(positions, on="problem_id")
            .collect()
        )
    kept = rows.sort("position", "sample")
    if max_per_problem is not None:
        kept = kept.group_by("problem_id", maintain_order=True).head(max_per_problem)
    if kept.is_empty():
        raise InputError(
            f"{path}: holds no trace of the {problems.height} problems; expected a recording whose "
            "`source` is the one in problems.sources that they come from"
        )
    return _read_parts(path, recording, kept["row"]), {
        "problems": problems.height,
        "problems_without_a_trace": problems.height - kept["problem_id"].n_unique(),
        "recorded": rows.height,
        "over_the_limit": rows.height - kept.height,
        "traces": kept.height,
    }


def _read_parts(path: Path, recording: pl.LazyFrame, rows: pl.Series) -> Iterator[pl.DataFrame]:
    """Yield the rows with these numbers, in this order."""
    numbers = rows.to_frame("row")
    parts = list(numbers.iter_slices(tables.TEXT_ROWS))
    if sum(_span(part)[1] for part in parts) > 2 * _span(numbers)[1]:
        parts = [numbers]  # far from the file's order: read all at once, not once a part
    for part in parts:
        first, length = _span(part)
        section = recording.slice(first, length).with_row_index("row", offset=first)
        with tables.wrap_read_errors(path):
            texts = section.filter(pl.col("row").is_in(part["row"].implode())).collect(
                engine="streaming"
            )
        yield part.join(texts, on="row", how="left", maintain_order="left").select(
            *RECORDING.columns
        )


def _span(numbers: pl.DataFrame) -> tuple[int, int]:
    """Return the lowest row number, and how many rows there are from it to the highest."""
    first, last = numbers.select(pl.first().min().alias("first"), pl.first().max()).row(0)
    return first, last - first + 1
