"""Reading and writing the tables of `delta.records`: whole, checked, and never half a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from delta.errors import InputError
from delta.records import Table


def read(path: str | Path, table: Table) -> pl.DataFrame:
    """The rows at `path`, with at least the columns of `table`.

    Raises InputError where the file is missing, is not a whole Parquet file, or has other columns.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; it should hold the {table.name} rows")
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        first = str(error).split("\n")[0]
        raise InputError(
            f"{path}: cannot be read as Parquet ({first}); restore or rebuild it"
        ) from error
    for column, dtype in table.columns.items():
        if column not in frame.columns:
            raise InputError(f"{path}: column {column!r} is missing; it has {frame.columns}")
        if frame.schema[column] != dtype:
            raise InputError(
                f"{path}: column {column!r} is {frame.schema[column]}, allowed: {dtype}"
            )
    return frame


def frame_of(rows: Sequence[dict[str, Any]], table: Table) -> pl.DataFrame:
    """Rows as a frame with exactly the columns of `table`, also where there are no rows."""
    return pl.DataFrame(rows, schema=dict(table.columns))


def write(path: str | Path, frame: pl.DataFrame, table: Table) -> None:
    """Write `frame` under `path` in one step: a reader sees the old file or the new, never half.

    Raises ValueError (our mistake, not the user's) where a key is null or occurs twice.
    """
    path = Path(path)
    key = list(table.key)
    if frame.select(pl.any_horizontal(pl.col(key).is_null()).any()).item():
        raise ValueError(f"{path}: a {table.name} row has no {key}")
    if frame.select(key).is_duplicated().any():
        raise ValueError(f"{path}: two {table.name} rows share a {key}")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    frame.write_parquet(part)
    part.replace(path)
