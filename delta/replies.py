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
import re
import socket
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

import orjson

from delta.engines import Ask, Failure, Reply, Request, TryToAsk
from delta.errors import IncompleteError, InputError

STORE_VARIABLE = "DELTA_STORE"
FAILED = "failed.jsonl"
NO_REPLY = Reply("", "failed", 0, 0)
# The key alone, a JSON string; with a blank before it until 2026-11, as json writes it.
_KEY = re.compile(rb'\{"key": ?("[^"\\]*(?:\\.[^"\\]*)*")')


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


class Shelf:
    """One stage item's replies. A context manager that holds the shelf's lock.

    The lock dies with its process. Whoever comes second waits, then finds the first one's replies.
    """

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self.folder = folder
        self.damage: list[Damage] = []
        self._say = say
        self._places: dict[str, tuple[int, int, int]] = {}  # key → file number, offset, length
        self._files: list[BinaryIO] = []
        self.failed: dict[str, str] = {}  # key → why no reply came, in this run

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._say(f"{self.folder.name}: another run works on this; waiting for its replies")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._own: int  # the number of this host's file
        self._end: int  # where its next line begins
        own = self.folder / f"{socket.gethostname()}.log"
        self._writer = own.open("ab", buffering=0)
        for file in sorted(self.folder.glob("*.log")):
            self._index(file, is_own=file == own)
        for damaged in self.damage:
            self._say(
                f"{damaged.file}: {damaged.length} bytes at {damaged.offset} are damaged; "
                "what they held counts as never asked, the rest is kept"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.fsync(self._writer.fileno())
        self._write_failed()
        for file in self._files:
            file.close()
        self._writer.close()
        self._lock.close()

    def _index(self, path: Path, is_own: bool) -> None:
        file = path.open("rb")
        number, offset = len(self._files), 0
        self._files.append(file)
        for line in file:
            if not line.endswith(b"\n"):  # the last write was torn: that reply never was
                if is_own:
                    os.ftruncate(self._writer.fileno(), offset)
                break
            key = key_of(line)
            if key is None:
                self.damage.append(Damage(path, offset, len(line)))
            else:
                self._places[key] = (number, offset, len(line))
            offset += len(line)
        if is_own:
            self._own, self._end = number, offset

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: str) -> dict[str, Any] | None:
        if key not in self._places:
            return None
        number, offset, length = self._places[key]
        content = content_of(os.pread(self._files[number].fileno(), length, offset))
        if content is None or content["key"] != key:
            return None  # damaged since it was indexed: ask again
        value: dict[str, Any] = content["value"]
        return value

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Append in one write; on return a kill of this process cannot lose it."""
        text = orjson.dumps({"key": key, "value": value})
        line = b"%08x %b\n" % (zlib.crc32(text), text)
        try:
            written = self._writer.write(line)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._writer.name) from error
        if written != len(line):
            os.ftruncate(self._writer.fileno(), self._end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._writer.name)
        self._places[key] = (self._own, self._end, len(line))
        self._end += len(line)

    def remember(
        self, ask: TryToAsk, progress: Progress = lambda items, _: items, *, max_failed: float
    ) -> Ask:
        """`ask`, but what is on the shelf is not asked again and what is answered is put there.

        `progress(replies, total)` shows those that are asked for. A request that failed gets a
        reply that says so, is put nowhere and is not tried again in this run. Raises
        IncompleteError as soon as more than the share `max_failed` of all requests have failed.
        """

        def remembering(requests: Iterable[Request]) -> Iterator[tuple[Request, Reply]]:
            missing: dict[str, Request] = {}  # an equal request twice is one request
            num_known = 0
            for request in requests:
                known = self.get(request.key())
                if request.key() in self.failed:
                    yield request, NO_REPLY
                elif known is None:
                    missing[request.key()] = request
                else:
                    num_known += 1
                    yield request, Reply(**known)
            if missing:
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
        failed: dict[str, str] = {}
        total = num_known + num_missing
        for number, (request, reply) in enumerate(replies, 1):
            if isinstance(reply, Failure):
                self.failed[request.key()] = failed[request.key()] = reply.reason
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
        """How many requests failed in this run, by reason, for the stage's counts."""
        return dict(sorted(Counter(self.failed.values()).items()))

    def _write_failed(self) -> None:
        """What failed in this run, a line each: {"key": …, "reason": …}."""
        path = self.folder / FAILED
        if self.failed:
            lines = [json.dumps({"key": key, "reason": why}) for key, why in self.failed.items()]
            path.write_text("\n".join(lines) + "\n")
        else:
            path.unlink(missing_ok=True)


def _reasons(failed: dict[str, str]) -> str:
    """The three most frequent reasons."""
    found = Counter(failed.values()).most_common(3)
    return "; ".join(f"{times} x {reason}" for reason, times in found)


def key_of(line: bytes) -> str | None:
    """The key of a line of a shelf's file; None where the line is damaged.

    What the checksum vouches for is not parsed: a store is opened at every start.
    """
    found = _KEY.match(line, 9) if _is_whole(line) else None
    try:
        key: str | None = orjson.loads(found[1]) if found else None
    except ValueError:
        return None
    return key


def content_of(line: bytes) -> dict[str, Any] | None:
    """All that it holds, {"key": …, "value": …}; None where it is damaged."""
    try:
        content: dict[str, Any] | None = orjson.loads(line[9:]) if _is_whole(line) else None
    except ValueError:  # what json wrote and orjson refuses: half a surrogate pair, NaN
        return None
    return content


def _is_whole(line: bytes) -> bool:
    try:
        return (
            line[8:9] == b" "
            and line.endswith(b"\n")
            and int(line[:8], 16) == zlib.crc32(memoryview(line)[9:-1])
        )
    except ValueError:
        return False


def open_shelf(item: str, model: str, say: Callable[[str], None]) -> Shelf:
    """The shelf of one stage item and model; `item` like "generate-zero-shot"."""
    return Shelf(store_folder() / f"{item}-{model[:12]}", say)
