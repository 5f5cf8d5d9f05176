"""Rows of a dataset: from the Hugging Face hub at a commit, from a local folder or file, a wheel.

With HF_HUB_OFFLINE=1 the hub's cache answers; a folder needs neither. A revision or a digest is
part of every source: a name alone is no input.
"""

import ast
import codecs
import csv
import gzip
import itertools
import os
import re
import zlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from delta.core import strict_json
from delta.core.digests import Digest, check_digest, sha256_of
from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.data import wheels
from delta.data.wheels import WheelFile

BATCH_ROWS = 1_000  # rows in memory at once
SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".parquet", ".csv")
MAX_CELL_CHARACTERS = (
    100_000_000  # characters of a CSV file; Python's own limit is below long traces
)
MAX_LINE_BYTES = 2**28  # bytes, unpacked: 2 MB of gzip may be gigabytes, and no row has so many
MAX_LITERAL_CHARACTERS = (
    1_000_000  # characters; Python's reader takes a hundred times as many bytes
)
# A cell that begins as a list of objects, or as one, is messages where an object has these names.
# Before the list may stand what numpy prints.
OBJECTS = re.compile(r"""\s*((?:array\(\s*)?\[\s*)?\{\s*(['"])\w+\2\s*:""")
SPEAKER = re.compile(r"""(['"])(?:role|from)\1\s*:""")
CONTENT = re.compile(r"""(['"])(?:content|value)\1\s*:""")
UNPINNED = "unpinned"
# A name alone is no input. A profile may say that it does not know the commit; reading refuses.
Commit = Annotated[str, Field(pattern=rf"^([0-9a-f]{{40}}|{UNPINNED})$")]


class HubDataset(StrictModel):
    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    config: str | None  # null where the repository has one only
    split: str
    revision: Commit


class HubFiles(StrictModel):
    """Files of a hub repository, read as they lie there (for what `datasets` refuses to load)."""

    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    files: Annotated[list[str], Field(min_length=1)]
    revision: Commit


class LocalFiles(StrictModel):
    """A local file, or a folder whose files of one kind are read in the order of their names."""

    path: str
    sha256: Digest  # over the files' contents


class DataSource(StrictModel):
    """Where rows come from: exactly one of the four."""

    hub: HubDataset | None = None
    files: HubFiles | None = None
    file: LocalFiles | None = None
    wheel: WheelFile | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"has {given or 'none'}; allowed: exactly one of hub, files, file, wheel"
            )
        return self


def read_rows(
    key: str, source: DataSource, columns: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    """The rows in the source's own order, with `columns` only where they are named.

    `key` is the dotted name of the source in params.yaml, for messages. Raises InputError where
    it cannot be reached or read, its digest differs, or a column is missing.
    """
    if source.hub is not None:
        found = _from_hub(key, source.hub, columns)
    elif source.files is not None:
        found = _from_files(key, _downloaded(key, source.files), columns)
    elif source.wheel is not None:
        found = _from_wheel(key, source.wheel, columns)
    else:
        assert source.file is not None
        found = _from_files(key, _checked_files(key, source.file), columns)
    for number, row in enumerate(found):
        if columns is None:
            yield row
            continue
        for column in columns:
            if column not in row:
                raise InputError(
                    f"{key}: row {number} has no column {column!r}; it has {', '.join(row)}"
                )
        yield {column: row[column] for column in columns}


def check_pinned(key: str, repository: str, revision: str) -> None:
    """InputError where the commit is not known yet, with where to find it."""
    if revision == UNPINNED:
        raise InputError(
            f"{key}.revision = {UNPINNED!r}: allowed: the commit of {repository} (40 hex digits; "
            "its page on the hub lists them under `History`, `make plan` prints the newest)"
        )


def _from_hub(key: str, hub: HubDataset, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    import datasets

    check_pinned(f"{key}.hub", hub.repository, hub.revision)
    what = f"{key}.hub = {hub.repository} {hub.config or ''} {hub.split} at {hub.revision}"
    try:
        loaded = datasets.load_dataset(
            hub.repository, hub.config, split=hub.split, revision=hub.revision
        )
    except Exception as error:  # the library raises a dozen kinds: gated, offline, no such split
        raise InputError(
            f"{what}: not loaded: {type(error).__name__}: {' '.join(str(error).split())}; allowed: "
            "a dataset that the hub or its local cache holds (a gated one needs HF_TOKEN), or "
            "`file` with a local copy"
        ) from error
    if columns is not None:
        if missing := [name for name in columns if name not in loaded.column_names]:
            raise InputError(f"{what}: no column {missing[0]!r}; it has {loaded.column_names}")
        loaded = loaded.select_columns(columns)
    yield from map(_plain_numbers(loaded.features.arrow_schema), loaded)


def _downloaded(key: str, source: HubFiles) -> list[Path]:
    from huggingface_hub import hf_hub_download

    check_pinned(f"{key}.files", source.repository, source.revision)
    paths = []
    for name in source.files:
        try:
            path = hf_hub_download(
                source.repository, name, repo_type="dataset", revision=source.revision
            )
        except Exception as error:  # as above
            raise InputError(
                f"{key}.files = {source.repository}/{name} at {source.revision}: not downloaded: "
                f"{type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
        paths.append(Path(path))
    return paths


def _checked_files(key: str, source: LocalFiles) -> list[Path]:
    paths = local_files(key, source.path)
    check_digest(f"{key}.file.sha256", source.sha256, source.path, sha256_of(*paths))
    return paths


def local_files(key: str, path: str) -> list[Path]:
    """Return the file, or the folder's files by name, without hidden files and folders.

    Raises InputError where there are none, or files of two kinds: often the same rows twice.
    """
    place = Path(path)
    if place.is_file():
        return [place]
    kinds: dict[str, list[Path]] = {}
    for file in sorted(place.rglob("*")):
        inside = file.relative_to(place)
        kind = _kind(file)
        if kind and file.is_file() and not any(part.startswith(".") for part in inside.parts):
            kinds.setdefault(kind, []).append(file)
    if len(kinds) > 1:
        first, second, *_ = (files[0].relative_to(place) for files in kinds.values())
        raise InputError(
            f"{key}.file.path = {path!r}: it holds files of several kinds, {first} and {second}; "
            "allowed: a folder of one kind, or one file"
        )
    if not kinds:
        raise InputError(
            f"{key}.file.path = {path!r}: no such file, or a folder without any of "
            f"{', '.join(SUFFIXES)}{_hint_of_queued_run(place)}"
        )
    return next(iter(kinds.values()))


def _kind(path: Path) -> str | None:
    """The one of SUFFIXES that the name ends with, in whatever case."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def _hint_of_queued_run(path: Path) -> str:
    """Return where the file is, in a queued run: DVC makes its folder of what Git has."""
    root = os.environ.get("DVC_ROOT")
    if root is None or Path(root).resolve() == Path.cwd() or not Path(root, path).exists():
        return ""
    return f"; {root} has it, but not its Git: `git add {path}`, or name an absolute path"


def _from_wheel(key: str, source: WheelFile, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    with wheels.open_wheel_member(key, source) as path:
        yield from _from_files(key, [path], columns)


def _from_files(key: str, paths: list[Path], columns: list[str] | None) -> Iterator[dict[str, Any]]:
    for path in paths:
        try:
            yield from _from_file(path, columns)
        except (OSError, ValueError, EOFError, zlib.error, csv.Error, pa.ArrowException) as error:
            why = " ".join(str(error).split())
            raise InputError(f"{key}: {path}: cannot be read: {why}{_hint(path, error)}") from error


def _hint(path: Path, error: Exception) -> str:
    """Return what the file should be, where its encoding or its suffix may be the reason."""
    if isinstance(error, UnicodeError):
        return "; expected: a text in UTF-8"
    if _kind(path) is None:
        return f"; it was read as JSON Lines, for its suffix is none of {', '.join(SUFFIXES)}"
    if _kind(path) == ".json" and "Extra data" in str(error):
        return "; JSON Lines have the suffix .jsonl"
    return ""


def _from_file(path: Path, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    kind = _kind(path)
    if kind == ".parquet":
        yield from _from_parquet(path, columns)
    elif kind == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as text:  # Excel writes the mark
            yield from _from_csv(text)
    elif kind == ".json":
        rows_ = strict_json.parsed(path.read_bytes())
        if not isinstance(rows_, list):
            raise ValueError(f"it holds {type(rows_).__name__}, allowed: a list of objects")
        yield from map(_checked_row, rows_, itertools.count(1))
    else:
        # Line by line: splitlines() would break at U+2028 inside a string.
        is_packed = path.name.lower().endswith(".gz")
        with gzip.open(path, "rb") if is_packed else path.open("rb") as lines:
            # Bounded: readline() returns no more, and what it leaves would be another line.
            for number, line in enumerate(iter(partial(lines.readline, MAX_LINE_BYTES), b""), 1):
                if len(line) == MAX_LINE_BYTES:
                    raise ValueError(f"line {number}: longer than {MAX_LINE_BYTES} bytes")
                if not line.removeprefix(codecs.BOM_UTF8).strip():
                    continue
                try:
                    row = strict_json.parsed(line)
                except ValueError as error:
                    raise ValueError(f"line {number}: {error}") from error
                yield _checked_row(row, number)


def _from_parquet(path: Path, columns: list[str] | None) -> Iterator[dict[str, Any]]:
    """Batch by batch, and only what is wanted: OpenR1's traces have gigabytes."""
    with pq.ParquetFile(path) as file:
        there = file.schema_arrow.names
        strict_json.check_names(there)
        wanted = None if columns is None else [name for name in columns if name in there]
        for group in range(file.num_row_groups):  # over several, iter_batches keeps what it read
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=wanted):
                yield from map(_plain_numbers(batch.schema), batch.to_pylist())


def _plain_numbers(schema: pa.Schema) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what makes plain numbers of a row's decimals and narrow floats.

    A float of 32 bits is the shortest decimal that it stands for: 2.2, not 2.200000047683716.
    """
    read: dict[str, Callable[[Any], Any]] = {}
    for field in schema:
        if pa.types.is_decimal(field.type):
            read[field.name] = _of_decimal
        elif pa.types.is_float16(field.type) or pa.types.is_float32(field.type):
            width = np.float16 if pa.types.is_float16(field.type) else np.float32
            read[field.name] = partial(_of_float, width)

    def plain(row: dict[str, Any]) -> dict[str, Any]:
        for name, of in read.items():
            if row[name] is not None:
                row[name] = of(row[name])
        return row

    return plain


def _of_float(width: type[np.float16 | np.float32], value: float) -> float:
    return float(str(width(value)))


def _of_decimal(value: Decimal) -> int | float | str:
    """A whole number, a float that says the same, or, where it has more digits, its text."""
    if value == value.to_integral_value():
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


def _from_csv(text: TextIO) -> Iterator[dict[str, Any]]:
    """A comma that is not quoted shifts the cells of its row: such a row is no row."""
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    reader = csv.DictReader(text, strict=True)
    strict_json.check_names(list(reader.fieldnames or []))
    for number, row in enumerate(reader, 1):
        if None in row or None in row.values():
            more = "more" if None in row else "fewer"
            raise ValueError(f"row {number} has {more} cells than the first row has names")
        yield {name: _of_cell(cell, number, name) for name, cell in row.items()}


def _of_cell(cell: str, number: int, name: str) -> Any:
    """The text, or the messages that it holds as JSON or as pandas writes a list."""
    opening = OBJECTS.match(cell)
    if opening is None or SPEAKER.search(cell) is None:
        return cell
    is_list, quote = opening[1] is not None, opening[2]
    if not is_list and CONTENT.search(cell) is None:
        return cell
    try:
        messages = strict_json.parsed(cell) if quote == '"' else _of_python(cell)
        if not is_list or not all(isinstance(message, dict) for message in messages):
            raise ValueError("not every member is one")
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(
            f"row {number}: {name}: it begins as messages, but they cannot be read "
            f"({type(error).__name__}); allowed: a text, or messages as JSON"
        ) from None
    return messages


def _of_python(cell: str) -> Any:
    if len(cell) > MAX_LITERAL_CHARACTERS:
        raise ValueError("too long")
    return ast.literal_eval(cell.strip())


def _checked_row(row: Any, number: int) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError(f"row {number} is {type(row).__name__}, allowed: an object")
    return row
