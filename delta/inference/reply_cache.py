"""The reply store: every reply of a model, kept under the hash of its whole request.

It is no output of any stage, since DVC deletes those before a stage runs. A stage asks the store
first, sends the rest, and every reply is on disk before the next one is looked at. So a killed run
loses what was in flight, an edited problem costs its own requests, and going back costs nothing.

A store is a folder with one folder per shelf (a stage's item), and there one append-only file per
host: lines of `<crc32, 8 hex digits> <JSON>\n`. Checksummed lines survive damage elsewhere in the
file, which one database file would not; files of several hosts can lie side by side or be copied
together.
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
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson

from delta.core import permissions
from delta.core.errors import IncompleteError, InputError
from delta.inference.reply_lines import NoFileError, lines_of, open_file, parse_key, parse_record
from delta.inference.types import Failure, GenerateFn, Reply, Request, TryGenerateFn, checked_reply

STORE_VARIABLE = "DELTA_STORE"
FAILED = "failed.jsonl"
NO_REPLY = Reply("", "failed", 0, 0)
MOST_OPEN = 64  # files of other hosts at once: a process may have 1,024 descriptors


def store_folder() -> Path:
    """Where replies are kept: $DELTA_STORE, else `replies/` beside DVC's cache.

    DVC runs queued experiments in copies of the workspace whose `cache.dir` points at the main
    clone's cache, so all of a clone's workspaces meet in one store. InputError for a relative
    $DELTA_STORE: every copy would have a store of its own.
    """
    if named := os.environ.get(STORE_VARIABLE):
        if not Path(named).is_absolute():
            raise InputError(f"${STORE_VARIABLE} = {named!r}: allowed: an absolute path")
        return Path(named)
    from dvc.config import Config  # all of DVC's levels: system, global, project, local

    folder = Config(str(Path(".dvc").resolve())).get("cache", {}).get("dir")
    return Path(folder).resolve().parent / "replies" if folder else Path(".dvc/replies")


Progress = Callable[[Iterator[Any], int], Iterator[Any]]


class Damage(NamedTuple):
    """A line that cannot be trusted: it is passed over, and its reply counts as missing."""

    file: Path
    offset: int  # bytes from the start of the file
    length: int


class ReplyCache:
    """One stage item's replies. A context manager that holds the shelf's lock.

    The lock dies with its process. Whoever comes second waits, then finds the first one's replies.
    Who may read but not write the folder has the replies that are there, and takes no lock.
    """

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self.folder = folder
        self.damage: list[Damage] = []
        self._say = say
        self._places: dict[str, tuple[int, int, int]] = {}  # key → file number, offset, length
        self._paths: list[Path] = []
        self._open: OrderedDict[int, int] = OrderedDict()  # file number → descriptor
        self._writer: int | None = None  # where nothing may be written
        self._own = 0  # the number of this host's file
        self._end = 0  # where its next line begins
        self.failed: dict[str, Failure] = {}  # key → why no reply came, in this run

    def __enter__(self) -> Self:
        try:
            permissions.make_folder(self.folder)
        except (FileExistsError, NotADirectoryError) as error:
            raise InputError(f"{error.filename}: expected a folder for replies") from None
        with ExitStack() as stack:
            lock = self.folder / "lock"
            own = self.folder / f"{socket.gethostname()}.log"
            if _are_writable(self.folder, lock, own):
                descriptor = _open_or_make(lock, os.O_RDWR)
                stack.callback(os.close, descriptor)
                self._take(descriptor)
                self._writer = _open_or_make(own, os.O_WRONLY | os.O_APPEND)
                stack.callback(os.close, self._writer)
            stack.callback(self._close_files)
            others = sorted(path for path in self.folder.glob("*.log") if path != own)
            self._own = len(others)
            # Ours last: what had to be asked for again counts before what was no reply.
            for path in [*others, *([own] if own.exists() else [])]:
                self._index(path)
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._closing:
            if self._writer is not None:
                os.fsync(self._writer)
                self._write_failed()

    def _take(self, lock: int) -> None:
        """Wait for the shelf's lock. InputError where the file system has none, as some NFS."""
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say(f"{self.folder.name}: another run works on this; waiting for its replies")
                fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise InputError(
                f"{self.folder / 'lock'}: cannot be locked: {error.strerror}; expected: a file "
                f"system with locks, or ${STORE_VARIABLE} = a folder on one"
            ) from error

    def _index(self, path: Path) -> None:
        """Note where the file's replies are. Of two with one key the later one counts."""
        number, end = len(self._paths), 0
        self._paths.append(path)
        try:
            file = os.fdopen(open_file(path, os.O_RDONLY), "rb")
        except NoFileError as error:
            self._say(f"{error}; it is passed over")
            return
        with file:
            for offset, length, line in lines_of(file):
                if not line.endswith(b"\n"):  # the last write was torn: that reply never was
                    if number == self._own and self._writer is not None:
                        os.ftruncate(self._writer, offset)
                    break
                key = parse_key(line)
                if key is None:
                    self._report(Damage(path, offset, length), "damaged")
                else:
                    self._places[key] = (number, offset, length)
                end = offset + length
        if number == self._own:
            self._end = end

    def _report(self, damage: Damage, what: str) -> None:
        self.damage.append(damage)
        self._say(
            f"{damage.file}: {damage.length} bytes at {damage.offset} are {what}; "
            "what they held counts as never asked, the rest is kept"
        )

    def _forget(self, key: str, what: str) -> None:
        """Count a reply that cannot be used as missing, so that it is asked for again."""
        number, offset, length = self._places.pop(key)
        self._report(Damage(self._paths[number], offset, length), what)

    def _read(self, number: int, offset: int, length: int) -> bytes:
        """Return a line; nothing where its file is gone."""
        if number not in self._open:
            if len(self._open) >= MOST_OPEN:
                os.close(self._open.popitem(last=False)[1])
            try:
                self._open[number] = open_file(self._paths[number], os.O_RDONLY)
            except NoFileError:
                return b""
        self._open.move_to_end(number)
        return os.pread(self._open[number], length, offset)

    def _close_files(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: str) -> dict[str, Any] | None:
        """Return what was put under the key. What is damaged is reported and then missing."""
        if key not in self._places:
            return None
        content = parse_record(self._read(*self._places[key]))
        if content is None or content["key"] != key:
            self._forget(key, "damaged")
            return None
        value: dict[str, Any] = content["value"]
        return value

    def reply(self, key: str) -> Reply | None:
        """Return the reply kept under the key. One that no engine gave is damage, as in `get`."""
        value = self.get(key)
        if value is None:
            return None
        try:
            return checked_reply(value)
        except ValueError as error:
            self._forget(key, f"no reply ({error})")
            return None

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Append in one write; on return a kill of this process cannot lose it."""
        writer = self._check_writer()
        text = orjson.dumps({"key": key, "value": value})
        line = b"%08x %b\n" % (zlib.crc32(text), text)
        try:
            written = os.write(writer, line)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._paths[-1])) from error
        if written != len(line):
            os.ftruncate(writer, self._end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._paths[-1]))
        self._places[key] = (self._own, self._end, len(line))
        self._end += len(line)

    def _check_writer(self) -> int:
        """Return this host's file. OSError where nothing may be written."""
        if self._writer is None:
            is_read_only = os.statvfs(self.folder).f_flag & os.ST_RDONLY
            number = errno.EROFS if is_read_only else errno.EACCES
            raise OSError(number, os.strerror(number), str(self.folder))
        return self._writer

    def remember(
        self, ask: TryGenerateFn, progress: Progress = lambda items, _: items, *, max_failed: float
    ) -> GenerateFn:
        """`ask`, but what is on the shelf is not asked again and what is answered is put there.

        `progress(replies, total)` shows those that are asked for. A request that failed gets a
        reply that says so, is put nowhere and is not tried again in this run. Raises
        IncompleteError as soon as more than the share `max_failed` of all requests have failed.
        """

        def remembering(requests: Iterable[Request]) -> Iterator[tuple[Request, Reply]]:
            missing: dict[str, Request] = {}  # an equal request twice is one request
            num_known = 0
            for request in requests:
                known = self.reply(request.key())
                if request.key() in self.failed:
                    yield request, NO_REPLY
                elif known is None:
                    missing[request.key()] = request
                else:
                    num_known += 1
                    yield request, known
            if missing:
                self._check_writer()  # before a model has worked
                self._say(f"{self.folder.name}: {len(missing)} replies to ask for")
                replies = progress(ask(missing.values()), len(missing))
                yield from self._kept(replies, num_known, len(missing), max_failed)

        return remembering

    def _kept(
        self,
        replies: Iterator[tuple[Request, Reply | Failure]],
        num_known: int,
        num_missing: int,
        max_failed: float,
    ) -> Iterator[tuple[Request, Reply]]:
        failed: list[Failure] = []
        total = num_known + num_missing
        for number, (request, reply) in enumerate(replies, 1):
            if isinstance(reply, Failure):
                self.failed[request.key()] = reply
                failed.append(reply)
                if len(failed) > max_failed * total:
                    raise IncompleteError(
                        f"{len(failed)} of {total} requests failed, allowed: a share of "
                        f"{max_failed}: {_reasons(failed)}. {num_known + number - len(failed)} "
                        f"replies are kept, {num_missing - number} were not waited for; the same "
                        "command asks for what is missing"
                    )
                yield request, NO_REPLY
            else:
                self.put(request.key(), reply._asdict())
                yield request, reply
        if failed:
            self._say(
                f"{self.folder.name}: {len(failed)} of {total} requests failed: "
                f"{_reasons(failed)}; each is named in {self.folder / FAILED}, and "
                "`dvc repro --force --single-item` with this stage asks for them again"
            )

    def failures(self) -> dict[str, int]:
        """Return how many requests failed in this run, by class, for the stage's counts."""
        return dict(sorted(Counter(failure.kind for failure in self.failed.values()).items()))

    def _write_failed(self) -> None:
        """Write what failed in this run, a line each: {"key": …, "kind": …, "reason": …}."""
        path = self.folder / FAILED
        try:
            with suppress(FileNotFoundError):
                path.unlink()
            if self.failed:
                lines = [
                    json.dumps({"key": key, "kind": failure.kind, "reason": failure.reason})
                    for key, failure in self.failed.items()
                ]
                with path.open("x") as file:  # whatever else has this name is no place to write
                    file.write("\n".join(lines) + "\n")
                permissions.inherit(path)
        except OSError as error:
            self._say(f"{path}: what failed is not written: {error.strerror}")


def _reasons(failed: list[Failure]) -> str:
    """Return the three most frequent classes, each with its reason, or the first of several."""
    parts = []
    for kind, times in Counter(failure.kind for failure in failed).most_common(3):
        reasons = [failure.reason for failure in failed if failure.kind == kind]
        several = len({*reasons}) > 1
        said = f"{kind} (the first: {reasons[0]})" if several else reasons[0]
        parts.append(f"{times} x {said}")
    return "; ".join(parts)


def _are_writable(folder: Path, *files: Path) -> bool:
    """Whether this process may write to the folder and to those of the files that are there."""
    there = [folder, *(file for file in files if file.exists())]
    return all(os.access(path, os.W_OK, effective_ids=True) for path in there)


def _open_or_make(path: Path, flags: int) -> int:
    """Return a descriptor. A new file may be read and written by whoever may the folder."""
    is_new = not path.exists()
    descriptor = open_file(path, flags | os.O_CREAT)
    if is_new:
        permissions.inherit(path)
    return descriptor


def open_reply_cache(item: str, model: str, say: Callable[[str], None]) -> ReplyCache:
    """The shelf of one stage item and model; `item` like "generate-zero-shot"."""
    return ReplyCache(store_folder() / f"{item}-{model[:12]}", say)
