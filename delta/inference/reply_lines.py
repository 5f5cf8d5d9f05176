r"""Open a file of the reply cache, if it is a regular file, and parse its lines.

A line is `<crc32, 8 hex digits> <JSON>\n`, where the JSON is {"key": ..., "value": {...}}.
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

MAX_LINE_BYTES = 64 * 2**20  # no engine returns a longer reply
# Errors of opening a dangling or circular link, a socket, or a path below a file.
NOT_A_FILE = (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.ENOTDIR)
# The key is a JSON string. Until 2026-11 the lines had a blank before it.
_KEY = re.compile(rb'\{"key": ?("[^"\\]*(?:\\.[^"\\]*)*")')


class NotAFileError(InputError):
    """A path of the cache is a folder, a FIFO, a dangling link: anything but a regular file."""


def open_file(path: Path, flags: int) -> int:
    """Return a descriptor of a regular file.

    Raises NotAFileError for anything else, since opening a FIFO would wait for its writer, and
    InputError where the user may not open it.
    """
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except PermissionError as error:
        raise InputError(f"{path}: {error.strerror}; expected a file that may be opened") from None
    except IsADirectoryError:
        raise NotAFileError(f"{path}: a folder, expected a file") from None
    except OSError as error:
        if error.errno not in NOT_A_FILE:
            raise
        raise NotAFileError(f"{path}: {error.strerror}; expected a file") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotAFileError(f"{path}: no file but a folder, a FIFO or a device")
    return descriptor


def read_lines(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Yield (offset, length, line). For a line over MAX_LINE_BYTES, `line` is its last byte."""
    offset = 0
    while line := file.readline(MAX_LINE_BYTES):
        length = len(line)
        while not line.endswith(b"\n") and len(line) == MAX_LINE_BYTES:
            line = file.readline(MAX_LINE_BYTES)
            length += len(line)
        yield offset, length, line if length == len(line) else line[-1:]
        offset += length


def parse_key(line: bytes) -> str | None:
    """Return the key of a line, or None where the line is damaged.

    The value is not parsed, because a cache is opened at every start.
    """
    match = _KEY.match(line, 9) if _is_intact(line) else None
    try:
        key: str | None = orjson.loads(match[1]) if match else None
    except ValueError:
        return None
    return key


def parse_record(line: bytes) -> dict[str, Any] | None:
    """Return {"key": ..., "value": {...}}, or None where the line is damaged."""
    try:
        record = orjson.loads(line[9:]) if _is_intact(line) else None
    except ValueError:  # Python's json wrote what orjson refuses: half a surrogate pair, NaN
        return None
    if not isinstance(record, dict) or record.keys() != {"key", "value"}:
        return None
    return record if isinstance(record["value"], dict) else None


def _is_intact(line: bytes) -> bool:
    try:
        return (
            line[8:9] == b" "
            and line.endswith(b"\n")
            and int(line[:8], 16) == zlib.crc32(memoryview(line)[9:-1])
        )
    except ValueError:
        return False
