"""What the reply store holds, looked at without taking a shelf's lock or making its folder."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from delta.replies import content_of, key_of, store_folder


class Place(NamedTuple):
    file: Path
    offset: int
    length: int


def shelf_folder(item: str, fingerprint: str) -> Path:
    """As `delta.replies.open_shelf` names it."""
    return store_folder() / f"{item}-{fingerprint[:12]}"


class Held(NamedTuple):
    """The replies of one shelf."""

    places: dict[str, Place]
    share: float  # of the shelf's bytes that were read; below 1 the numbers are estimates

    def get(self, key: str) -> dict[str, Any] | None:
        if key not in self.places:
            return None
        place = self.places[key]
        with place.file.open("rb") as file:
            line = os.pread(file.fileno(), place.length, place.offset)
        content = content_of(line)
        return content["value"] if content else None


def held(folder: Path, most_bytes: int) -> Held:
    """What lies in a shelf's folder; nothing where there is none. Damaged lines count as missing.

    Of a larger shelf only the first `most_bytes` are read.
    """
    files = sorted(folder.glob("*.log"))
    there = sum(file.stat().st_size for file in files)
    read = 0
    places: dict[str, Place] = {}
    for path in files:
        offset = 0
        with path.open("rb") as file:
            for line in file:
                if read >= most_bytes:
                    break
                if key := key_of(line):
                    places[key] = Place(path, offset, len(line))
                offset += len(line)
                read += len(line)
    return Held(places, min(1.0, read / there) if there else 1.0)
