"""What the reply store holds, looked at without taking a shelf's lock or making its folder."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from delta.inference.reply_cache import store_folder
from delta.inference.reply_lines import NoFileError, lines_of, open_file, parse_key, parse_record
from delta.inference.types import checked_reply


class Place(NamedTuple):
    file: Path
    offset: int
    length: int


def shelf_folder(item: str, fingerprint: str) -> Path:
    """As `delta.inference.reply_cache.open_reply_cache` names it."""
    return store_folder() / f"{item}-{fingerprint[:12]}"


class Held(NamedTuple):
    """The replies of one shelf."""

    places: dict[str, Place]
    share: float  # of the shelf's bytes that were read; below 1 the numbers are estimates

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the fields of the reply; None where there is none that is whole and valid."""
        if key not in self.places:
            return None
        place = self.places[key]
        with suppress(NoFileError, ValueError), _opened(place.file) as file:
            content = parse_record(os.pread(file.fileno(), place.length, place.offset))
            return checked_reply(content["value"])._asdict() if content else None
        return None


def held(folder: Path, most_bytes: int) -> Held:
    """What lies in a shelf's folder; nothing where there is none. Damaged lines count as missing.

    Of a larger shelf only the first `most_bytes` are read.
    """
    there = read = 0
    places: dict[str, Place] = {}
    for path in sorted(folder.glob("*.log")):
        with suppress(NoFileError), _opened(path) as file:
            there += os.fstat(file.fileno()).st_size
            for offset, length, line in lines_of(file):
                if read >= most_bytes:
                    break
                if key := parse_key(line):
                    places[key] = Place(path, offset, length)
                read += length
    return Held(places, min(1.0, read / there) if there else 1.0)


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(open_file(path, os.O_RDONLY), "rb")
