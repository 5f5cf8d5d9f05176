"""Reading and writing the tables of `delta.core.schemas`: whole, checked, and never half a file."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from delta.core.errors import InputError
from delta.core.files import atomic_file
from delta.core.schemas import Table

TEXT_ROWS = 256  # of a table with texts, in a group: a reader holds few groups, of megabytes each


def read(path: str | Path, table: Table, columns: list[str] | None = None) -> pl.DataFrame:
    """The rows at `path`, with at least the columns of `table`, or with `columns` of it only.

    Raises InputError where the file is missing, is not a whole Parquet file, or has other columns.
    """
    path = Path(path)
    _check(path, table)
    try:
        return pl.read_parquet(path, columns=columns)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _unreadable(path, error) from error


def scan(path: str | Path, table: Table) -> pl.LazyFrame:
    """As `read`, but no row is in memory yet: the text of traces has gigabytes."""
    _check(Path(path), table)
    return pl.scan_parquet(path)


def iter_rows(path: Path, columns: list[str], at_once: int) -> Iterator[dict[str, Any]]:
    """The rows in order, `at_once` read together: the tests of programs have gigabytes."""
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):  # over several, iter_batches keeps its reads
                for batch in file.iter_batches(at_once, row_groups=[group], columns=columns):
                    yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


@contextmanager
def damage_as_input_error(*paths: Path) -> Iterator[None]:
    """Around work on what `scan` gave: its damage shows only then, and raises what `read` does."""
    try:
        yield
    except (pl.exceptions.ComputeError, pl.exceptions.PanicException) as error:
        raise _unreadable(" or ".join(map(str, paths)), error) from error


def _check(path: Path, table: Table) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file (the {table.name} rows); run `make repro` first")
    try:
        schema = pl.read_parquet_schema(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _unreadable(path, error) from error
    for column, dtype in table.columns.items():
        if column not in schema:
            raise InputError(f"{path}: column {column!r} is missing; it has {list(schema)}")
        if schema[column] != dtype:
            raise InputError(f"{path}: column {column!r} is {schema[column]}, allowed: {dtype}")


def _unreadable(path: str | Path, error: BaseException) -> InputError:
    first = str(error).split("\n")[0]
    return InputError(f"{path}: cannot be read as Parquet ({first}); restore or rebuild it")


def frame_of(rows: Sequence[dict[str, Any]], table: Table) -> pl.DataFrame:
    """Rows as a frame with exactly the columns of `table`, also where there are no rows."""
    return pl.DataFrame(rows, schema=dict(table.columns))


def write(path: str | Path, frame: pl.DataFrame, table: Table) -> None:
    """Write `frame` under `path` in one step: a reader sees the old file or the new, never half.

    Raises ValueError (our mistake, not the user's) where a key is null or occurs twice, OSError
    where the disk is full or locked.
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
    """As `write`, of rows that come in batches and are not in memory together."""
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
