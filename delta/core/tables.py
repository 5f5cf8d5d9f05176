"""Read and write the tables of `delta.core.schemas`: checked, and atomically."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from delta.core.errors import InputError
from delta.core.files import atomic_file
from delta.core.schemas import Table
from delta.core.types import Row

TEXT_ROWS = 256  # in a row group of a table with texts, so that a group has only megabytes
POLARS_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


def read(path: str | Path, table: Table, columns: list[str] | None = None) -> pl.DataFrame:
    """Return the rows at `path`, with all columns or only `columns`.

    Raises InputError where the file is missing or damaged, or lacks a column of `table`.
    """
    path = Path(path)
    _check_schema(path, table)
    try:
        return pl.read_parquet(path, columns=columns)
    except POLARS_ERRORS as error:
        raise _unreadable(path, error) from error


def scan(path: str | Path, table: Table) -> pl.LazyFrame:
    """Return the rows at `path` as a lazy frame, since traces take gigabytes. Raises as `read`."""
    _check_schema(Path(path), table)
    return pl.scan_parquet(path)


def iter_rows(path: Path, columns: list[str], batch_size: int) -> Iterator[Row]:
    """Yield the rows in order, `batch_size` in memory at once: programs' tests take gigabytes.

    Raises InputError where the file is damaged.
    """
    try:
        for batch in iter_batches(path, columns, batch_size):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def iter_batches(
    path: Path, columns: list[str] | None, batch_size: int
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file in batches, one in memory at once. Raises Arrow's errors."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):  # over several, Arrow keeps what it has read
            yield from file.iter_batches(batch_size, row_groups=[group], columns=columns)


@contextmanager
def wrap_read_errors(*paths: Path) -> Iterator[None]:
    """Raise InputError that names `paths` where Polars finds damage on collecting a lazy frame."""
    try:
        yield
    except (pl.exceptions.ComputeError, pl.exceptions.PanicException) as error:
        raise _unreadable(" or ".join(map(str, paths)), error) from error


def _check_schema(path: Path, table: Table) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file (the {table.name} rows); run `make repro` first")
    try:
        schema = pl.read_parquet_schema(path)
    except POLARS_ERRORS as error:
        raise _unreadable(path, error) from error
    for column, dtype in table.columns.items():
        if column not in schema:
            raise InputError(f"{path}: column {column!r} is missing; it has {list(schema)}")
        if schema[column] != dtype:
            raise InputError(f"{path}: column {column!r} is {schema[column]}; expected {dtype}")


def _unreadable(path: str | Path, error: BaseException) -> InputError:
    first_line = str(error).split("\n")[0]
    return InputError(f"{path}: cannot be read as Parquet ({first_line}); restore or rebuild it")


def frame_of(rows: Sequence[Row], table: Table) -> pl.DataFrame:
    """Return `rows` as a frame with exactly the columns of `table`."""
    return pl.DataFrame(rows, schema=dict(table.columns))


def write(path: str | Path, frame: pl.DataFrame, table: Table) -> None:
    """Write `frame` to `path` atomically.

    Raises ValueError where a key is null or not unique, and OSError where the disk is full or
    read-only.
    """
    path = Path(path)
    _check_keys(path, frame, table)
    row_group_size = TEXT_ROWS if "text" in table.columns else None
    try:
        with atomic_file(path) as part:
            frame.write_parquet(part, row_group_size=row_group_size)
    except pl.exceptions.ComputeError as error:
        match = re.search(r"\(os error (\d+)\)", str(error))  # Polars wraps the system's error
        if match is None:
            raise
        raise OSError(int(match[1]), os.strerror(int(match[1])), str(path)) from error


def write_batches(path: str | Path, batches: Iterable[pl.DataFrame], table: Table) -> None:
    """Write `batches` to `path` as `write` does, one in memory at a time."""
    path = Path(path)
    empty = frame_of([], table)
    keys = [empty.select(table.key)]
    schema = empty.to_arrow().schema
    with atomic_file(path) as part:
        with pq.ParquetWriter(part, schema, compression="zstd") as file:
            for batch in batches:
                keys.append(batch.select(table.key))
                file.write_table(batch.to_arrow().cast(schema), row_group_size=TEXT_ROWS)
        _check_keys(path, pl.concat(keys), table)


def _check_keys(path: Path, frame: pl.DataFrame, table: Table) -> None:
    key = list(table.key)
    if frame.select(pl.any_horizontal(pl.col(key).is_null()).any()).item():
        raise ValueError(f"{path}: a {table.name} row has no {key}")
    if frame.select(key).is_duplicated().any():
        raise ValueError(f"{path}: two {table.name} rows share a {key}")
