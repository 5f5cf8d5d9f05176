"""The reply cache: every reply of a model, kept under the hash of all fields of its request.

DVC deletes a stage's outputs before the stage runs, so the cache is no output. A stage takes the
replies that are in the cache and sends the other requests. Every reply is on disk before the next
one is read. So a killed run loses only the requests in flight, and a change of parameters costs
only the requests that it changes.

Each stage item has a folder, with one append-only file per host. Lines have checksums, so a
damaged byte costs one line, and the files of several hosts can be copied into one folder.
"""

import errno
import fcntl
import json
import os
import socket
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson

from delta.core import permissions
from delta.core.errors import IncompleteError, InputError
from delta.core.types import Progress
from delta.inference import reply_lines
from delta.inference.reply_lines import NotAFileError, open_file
from delta.inference.types import (
    Failure,
    GenerateFn,
    Reply,
    Request,
    RequestResult,
    TryGenerateFn,
    parse_reply,
    reply_fields,
)

FOLDER_VARIABLE = "DELTA_REPLY_CACHE"
FAILED_FILE = "failed.jsonl"
NO_REPLY = Reply("", "failed", 0, 0)
MAX_OPEN_FILES = 64  # of other hosts: a process may have 1,024 descriptors


def replies_folder() -> Path:
    """Return the folder of all reply caches: $DELTA_REPLY_CACHE, or `replies/` by DVC's cache.

    DVC runs queued experiments in copies of the workspace whose `cache.dir` is the main clone's,
    so that all workspaces of a clone share their replies. Raises InputError for a relative
    $DELTA_REPLY_CACHE, which would differ from copy to copy.
    """
    if folder := os.environ.get(FOLDER_VARIABLE):
        if not Path(folder).is_absolute():
            raise InputError(f"${FOLDER_VARIABLE} = {folder!r}: expected an absolute path")
        return Path(folder)
    from dvc.config import Config  # all of DVC's levels: system, global, project, local

    folder = Config(str(Path(".dvc").resolve())).get("cache", {}).get("dir")
    return Path(folder).resolve().parent / "replies" if folder else Path(".dvc/replies")


def cache_folder(item: str, fingerprint: str) -> Path:
    """Return the folder for a stage item, such as "generate-zero-shot", and a model."""
    return replies_folder() / f"{item}-{fingerprint[:12]}"


def open_reply_cache(item: str, fingerprint: str, log: Callable[[str], None]) -> "ReplyCache":
    """Return the cache for a stage item and a model. `log` gets a line for each event."""
    return ReplyCache(cache_folder(item, fingerprint), log)


class DamagedLine(NamedTuple):
    """Where a damaged line is. The line is skipped, and its reply counts as missing."""

    file: Path
    offset: int  # bytes from the start of the file
    length: int


class ReplyCache:
    """The replies of one stage item, as a context manager that locks the folder.

    The lock ends with its process. A second process waits, and then has the first one's replies.
    A user without write permission reads without a lock. So does a `read_only` cache, whose folder
    may also be missing. `max_bytes` limits how much is read, and `fraction_read` is the part of all
    bytes that was.
    """

    def __init__(
        self,
        folder: Path,
        log: Callable[[str], None] = lambda _: None,
        *,
        read_only: bool = False,
        max_bytes: int | None = None,
    ) -> None:
        self.folder = folder
        self.damaged_lines: list[DamagedLine] = []
        self.failed: dict[str, Failure] = {}  # key -> why no reply came, in this run
        self.fraction_read = 1.0
        self._log = log
        self._read_only = read_only
        self._max_bytes = max_bytes
        self._locations: dict[str, tuple[int, int, int]] = {}  # key -> file number, offset, length
        self._paths: list[Path] = []
        self._descriptors: OrderedDict[int, int] = OrderedDict()  # file number -> descriptor
        self._writer: int | None = None  # None: nothing may be written
        self._own_number = 0  # of this host's file
        self._own_size = 0  # bytes, where its next line begins

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            own_file = self.folder / f"{socket.gethostname()}.log"
            if not self._read_only:
                self._open_for_writing(own_file, stack)
            stack.callback(self._close_files)
            others = sorted(path for path in self.folder.glob("*.log") if path != own_file)
            self._own_number = len(others)
            # This host's file is last: a repeated request's reply replaces an unusable one.
            self._index_files([*others, *([own_file] if own_file.exists() else [])])
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._closing:
            if self._writer is not None:
                os.fsync(self._writer)
                self._write_failed()

    def _open_for_writing(self, own_file: Path, stack: ExitStack) -> None:
        try:
            permissions.make_folder(self.folder)
        except (FileExistsError, NotADirectoryError) as error:
            raise InputError(f"{error.filename}: expected a folder for replies") from None
        lock = self.folder / "lock"
        if _are_writable(self.folder, lock, own_file):
            descriptor = _open_or_create(lock, os.O_RDWR)
            stack.callback(os.close, descriptor)
            self._acquire(descriptor)
            self._writer = _open_or_create(own_file, os.O_WRONLY | os.O_APPEND)
            stack.callback(os.close, self._writer)

    def _acquire(self, lock: int) -> None:
        """Wait for the lock. Raises InputError where the file system has none, as some NFS."""
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._log(f"{self.folder.name}: another run works on this; waiting for its replies")
                fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise InputError(
                f"{self.folder / 'lock'}: cannot be locked: {error.strerror}; expected a file "
                f"system with locks, or ${FOLDER_VARIABLE} = a folder on one"
            ) from error

    def _index_files(self, paths: list[Path]) -> None:
        total = read = 0
        for number, path in enumerate(paths):
            self._paths.append(path)
            try:
                file = os.fdopen(open_file(path, os.O_RDONLY), "rb")
            except NotAFileError as error:
                self._log(f"{error}; it is skipped")
                continue
            with file:
                left = None if self._max_bytes is None else self._max_bytes - read
                end = self._index(number, reply_lines.read_lines(file), left)
                total += os.fstat(file.fileno()).st_size
                read += end
            if number == self._own_number:
                self._own_size = end
        if self._max_bytes is not None and total:
            self.fraction_read = min(1.0, read / total)

    def _index(
        self, number: int, lines: Iterator[tuple[int, int, bytes]], max_bytes: int | None
    ) -> int:
        """Record where the file's replies are, and return its size up to its last whole line.

        Of two replies with one key, the last counts. A last line without its end was cut while it
        was written. It is ignored, and removed from this host's file.
        """
        end = 0
        for offset, length, line in lines:
            if max_bytes is not None and offset >= max_bytes:
                break
            if not line.endswith(b"\n"):
                if number == self._own_number and self._writer is not None:
                    os.ftruncate(self._writer, offset)
                break
            key = reply_lines.parse_key(line)
            if key is None:
                self._report(DamagedLine(self._paths[number], offset, length), "damaged")
            else:
                self._locations[key] = (number, offset, length)
            end = offset + length
        return end

    def _report(self, line: DamagedLine, problem: str) -> None:
        self.damaged_lines.append(line)
        self._log(
            f"{line.file}: {line.length} bytes at {line.offset} are {problem}; "
            "their reply is requested again, the others are kept"
        )

    def _drop(self, key: str, problem: str) -> None:
        """Count an unusable reply as missing, so that it is requested again."""
        number, offset, length = self._locations.pop(key)
        self._report(DamagedLine(self._paths[number], offset, length), problem)

    def _read(self, number: int, offset: int, length: int) -> bytes:
        """Return a line, or an empty one where its file has been deleted."""
        if number not in self._descriptors:
            if len(self._descriptors) >= MAX_OPEN_FILES:
                os.close(self._descriptors.popitem(last=False)[1])
            try:
                self._descriptors[number] = open_file(self._paths[number], os.O_RDONLY)
            except NotAFileError:
                return b""
        self._descriptors.move_to_end(number)
        return os.pread(self._descriptors[number], length, offset)

    def _close_files(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    def __len__(self) -> int:
        return len(self._locations)

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the value under the key, or None. A damaged line counts as missing."""
        if key not in self._locations:
            return None
        record = reply_lines.parse_record(self._read(*self._locations[key]))
        if record is None or record["key"] != key:
            self._drop(key, "damaged")
            return None
        value: dict[str, Any] = record["value"]
        return value

    def reply(self, key: str) -> Reply | None:
        """Return the reply under the key, or None. A value that is no reply is damaged."""
        value = self.get(key)
        if value is None:
            return None
        try:
            return parse_reply(value)
        except ValueError as error:
            self._drop(key, f"no reply ({error})")
            return None

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Append a line in one write. A kill of this process cannot lose it after that."""
        writer = self._require_writer()
        text = orjson.dumps({"key": key, "value": value})
        line = b"%08x %b\n" % (zlib.crc32(text), text)
        try:
            written = os.write(writer, line)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._paths[-1])) from error
        if written != len(line):
            os.ftruncate(writer, self._own_size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._paths[-1]))
        self._locations[key] = (self._own_number, self._own_size, len(line))
        self._own_size += len(line)

    def _require_writer(self) -> int:
        """Return the descriptor of this host's file. Raises OSError where it may not be written."""
        if self._writer is None:
            is_mounted_read_only = os.statvfs(self.folder).f_flag & os.ST_RDONLY
            number = errno.EROFS if is_mounted_read_only else errno.EACCES
            raise OSError(number, os.strerror(number), str(self.folder))
        return self._writer

    def cached(
        self,
        generate: TryGenerateFn,
        progress: Progress = lambda items, _: items,
        *,
        max_failed: float,
    ) -> GenerateFn:
        """Return a function that takes replies from the cache, and gets and keeps the others.

        `generate` gets them, and `progress(replies, total)` shows how far it is. A failed request
        gets NO_REPLY. It is not cached, and not sent again in this run. Raises IncompleteError as
        soon as more than the fraction `max_failed` of all requests have failed.
        """

        def read_or_generate(requests: Iterable[Request]) -> Iterator[tuple[Request, Reply]]:
            missing: dict[str, Request] = {}  # by key, so that equal requests are sent once
            num_cached = 0
            for request in requests:
                reply = self.reply(request.key())
                if request.key() in self.failed:
                    yield request, NO_REPLY
                elif reply is None:
                    missing[request.key()] = request
                else:
                    num_cached += 1
                    yield request, reply
            if missing:
                self._require_writer()  # before a model is loaded
                results = progress(generate(missing.values()), len(missing))
                yield from self._store(results, num_cached, len(missing), max_failed)

        return read_or_generate

    def _store(
        self, results: Iterable[RequestResult], num_cached: int, num_missing: int, max_failed: float
    ) -> Iterator[tuple[Request, Reply]]:
        failed: list[Failure] = []
        total = num_cached + num_missing
        for number, (request, reply) in enumerate(results, 1):
            if not isinstance(reply, Failure):
                self.put(request.key(), reply_fields(reply))
                yield request, reply
                continue
            self.failed[request.key()] = reply
            failed.append(reply)
            if len(failed) > max_failed * total:
                raise IncompleteError(
                    f"{len(failed)} of {total} requests failed, expected at most the fraction "
                    f"{max_failed}: {_summarize(failed)}. {num_cached + number - len(failed)} "
                    f"replies are kept, {num_missing - number} were not waited for; run the same "
                    "command to resume"
                )
            yield request, NO_REPLY
        if failed:
            self._log(
                f"{self.folder.name}: {len(failed)} of {total} requests failed: "
                f"{_summarize(failed)}; {self.folder / FAILED_FILE} lists them, and "
                "`dvc repro --force --single-item` with this stage asks for them again"
            )

    def failures(self) -> dict[str, int]:
        """Return the number of failed requests in this run by class, for the stage's counts."""
        return dict(sorted(Counter(failure.kind for failure in self.failed.values()).items()))

    def _write_failed(self) -> None:
        """Write the failures of this run, a line each: {"key": ..., "kind": ..., "reason": ...}."""
        path = self.folder / FAILED_FILE
        try:
            with suppress(FileNotFoundError):
                path.unlink()
            if self.failed:
                with path.open("x") as file:  # fails where the name is a link or a FIFO
                    for key, failure in self.failed.items():
                        line = {"key": key, "kind": failure.kind, "reason": failure.reason}
                        file.write(json.dumps(line) + "\n")
                permissions.inherit(path)
        except OSError as error:
            self._log(f"{path}: failures cannot be written: {error.strerror}")


def _summarize(failures: list[Failure]) -> str:
    """Return the three most frequent classes, each with its reason or the first of several."""
    parts = []
    for kind, times in Counter(failure.kind for failure in failures).most_common(3):
        reasons = [failure.reason for failure in failures if failure.kind == kind]
        reason = reasons[0] if len({*reasons}) == 1 else f"{kind} (the first: {reasons[0]})"
        parts.append(f"{times} x {reason}")
    return "; ".join(parts)


def _are_writable(folder: Path, *files: Path) -> bool:
    """Return whether this process may write to the folder and to those files that exist."""
    paths = [folder, *(file for file in files if file.exists())]
    return all(os.access(path, os.W_OK, effective_ids=True) for path in paths)


def _open_or_create(path: Path, flags: int) -> int:
    """Return a descriptor. A new file gets the folder's permissions."""
    is_new = not path.exists()
    descriptor = open_file(path, flags | os.O_CREAT)
    if is_new:
        permissions.inherit(path)
    return descriptor
