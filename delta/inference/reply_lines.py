r"""A file of the reply store: opened only where it is one, and read line by line.

A line is `<crc32, 8 hex digits> <JSON>\n`, the JSON {"key": …, "value": {…}}.
"""

import errno
import os
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from delta.core.errors import InputError

LONGEST_LINE = 64 * 2**20  # bytes; no engine hands on a longer reply
# What a name in a folder may be instead of a file: a link to nothing or in a circle, a socket.
NO_FILE = (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENOTDIR)
# The key alone, a JSON string; with a blank before it until 2026-11, as json writes it.
_KEY = re.compile(rb'\{"key": ?("[^"\\]*(?:\\.[^"\\]*)*")')


class NoFileError(InputError):
    """A name in a shelf's folder is a folder, a FIFO, a link to nothing; anything but a file."""


def open_file(path: Path, flags: int) -> int:
    """Return a descriptor of a file. NoFileError for whatever else has this name: opening a FIFO
    would wait for whoever writes to it. InputError where the user may not open it.
    """
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except PermissionError as error:
        raise InputError(f"{path}: {error.strerror}; expected: a file that may be opened") from None
    except IsADirectoryError:
        raise NoFileError(f"{path}: a folder, expected a file") from None
    except OSError as error:
        if error.errno not in NO_FILE:
            raise
        raise NoFileError(f"{path}: {error.strerror}; expected a file") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NoFileError(f"{path}: no file but a folder, a FIFO or a device")
    return descriptor


def lines_of(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Yield (offset, length, line). Of a line that is too long to be one, its end alone."""
    offset = 0
    while line := file.readline(LONGEST_LINE):
        length = len(line)
        while not line.endswith(b"\n") and len(line) == LONGEST_LINE:
            line = file.readline(LONGEST_LINE)
            length += len(line)
        yield offset, length, line if length == len(line) else line[-1:]
        offset += length


def parse_key(line: bytes) -> str | None:
    """The key of a line of a shelf's file; None where the line is damaged.

    What the checksum vouches for is not parsed: a store is opened at every start.
    """
    found = _KEY.match(line, 9) if _is_whole(line) else None
    try:
        key: str | None = orjson.loads(found[1]) if found else None
    except ValueError:
        return None
    return key


def parse_record(line: bytes) -> dict[str, Any] | None:
    """All that it holds, {"key": …, "value": {…}}; None where it is damaged."""
    try:
        content = orjson.loads(line[9:]) if _is_whole(line) else None
    except ValueError:  # what json wrote and orjson refuses: half a surrogate pair, NaN
        return None
    if not isinstance(content, dict) or content.keys() != {"key", "value"}:
        return None
    return content if isinstance(content["value"], dict) else None


def _is_whole(line: bytes) -> bool:
    try:
        return (
            line[8:9] == b" "
            and line.endswith(b"\n")
            and int(line[:8], 16) == zlib.crc32(memoryview(line)[9:-1])
        )
    except ValueError:
        return False
