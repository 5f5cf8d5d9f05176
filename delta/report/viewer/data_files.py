"""Write the data of a page as scripts, because a page on file:// may load nothing else."""

import base64
import gzip
import json
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from delta.core.types import Counts, Row

K = TypeVar("K", bound=Hashable)
# Characters of text per data file: about 200 kB compressed, so a pair opens at once.
FILE_CHARACTERS = 500_000
MAX_CHARACTERS = 500_000  # of a text; a browser draws this in a second, but not millions


class Location(NamedTuple):
    """Where a record is: number of its file, place in it, and characters of its texts."""

    file: int
    position: int
    characters: int


def write_records(folder: Path, records: Iterable[tuple[K, int, Row]]) -> dict[K, Location]:
    """Write (key, characters, record) to numbered data files and return where each record is."""
    locations: dict[K, Location] = {}
    buffer: list[Row] = []
    file = size = 0
    for key, characters, record in records:
        locations[key] = Location(file, len(buffer), characters)
        buffer.append(record)
        size += min(characters, MAX_CHARACTERS)
        if size >= FILE_CHARACTERS:
            write_data(folder, str(file), buffer)
            buffer, size, file = [], 0, file + 1
    if buffer:
        write_data(folder, str(file), buffer)
    return locations


def write_data(folder: Path, name: str, content: Any) -> None:
    """Write `content` as a script with a base64 string: no text can end or enter the script."""
    raw = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    packed = base64.b64encode(gzip.compress(raw, compresslevel=6, mtime=0)).decode()
    path = folder / "data" / f"{name}.js"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'receive("{name}","{packed}");\n', encoding="utf-8")


def truncate_texts(value: Any) -> Any:
    """Return the value without the middle of every text that is too long for the page."""
    if isinstance(value, dict):
        return {key: truncate_texts(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [truncate_texts(inner) for inner in value]
    if not isinstance(value, str) or len(value) <= MAX_CHARACTERS:
        return value
    half = MAX_CHARACTERS // 2
    note = (
        f"[{len(value) - MAX_CHARACTERS:,} characters are left out here: this page shows "
        f"{MAX_CHARACTERS:,} of a text, its table in data/ has all]"
    )
    return f"{value[:half]}\n\n{note}\n\n{value[-half:]}"


def size_of(folder: Path) -> Counts:
    """Return the number of files in a page's folder, and their bytes."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {"files": len(files), "bytes": sum(file.stat().st_size for file in files)}
