"""Foreign and damaged files in a cache's folder: one line each, no traceback, no wait."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from delta.core.errors import InputError
from delta.inference.failures import make_failure
from delta.inference.reply_cache import FAILED_FILE, DamagedLine, ReplyCache
from delta.inference.reply_lines import NotAFileError
from delta.inference.types import Reply, Request

ROOT = Path(__file__).parents[2]
HOST = socket.gethostname()
VALUE = Reply("x", "stop", 3, 4)._asdict()
pytestmark = pytest.mark.timeout(60)


def line_of(content: Any) -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def read_only(folder: Path, key: str) -> dict[str, Any] | None:
    """Return the fields of the reply under the key, as `make plan` reads them."""
    with ReplyCache(folder, read_only=True, max_bytes=10**6) as cache:
        reply = cache.reply(key)
    return None if reply is None else reply._asdict()


def request(prompt: str = "one") -> Request:
    return Request("model", "engine", prompt, 0.7, 1.0, 16, 1, 0)


def answer(requests: Iterable[Request]) -> Iterator[tuple[Request, Reply]]:
    for item in requests:
        yield item, Reply("again", "stop", 3, 4)


NO_REPLIES = {
    "tokens in words": {"prompt_tokens": "3"},
    "tokens beyond any text": {"completion_tokens": 2**31},
    "tokens of 2^63": {"completion_tokens": 2**63},
    "tokens of 10^30": {"completion_tokens": 10**30},
    "tokens in a list": {"completion_tokens": [4]},
    "one and a half tokens": {"completion_tokens": 1.5},
    "fewer tokens than none": {"prompt_tokens": -5},
    "null tokens": {"prompt_tokens": None},
    "true tokens": {"prompt_tokens": True},
    "text is a number": {"text": 5},
    "text is null": {"text": None},
    "reasoning is a list": {"reasoning": ["x"]},
    "an end that is none": {"finish_reason": "abort"},
    "a failure": {"finish_reason": "failed"},
    "a null end": {"finish_reason": None},
    "a field too many": {"score": 5},
}


@pytest.mark.parametrize("change", NO_REPLIES.values(), ids=NO_REPLIES)
def test_a_cached_reply_with_invalid_fields_is_reported_and_requested_again(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    bad = line_of({"key": request().key(), "value": VALUE | change})
    file = tmp_path / "another-host.log"
    file.write_bytes(line_of({"key": "k", "value": VALUE}) + bad)
    assert read_only(tmp_path, request().key()) is None
    log: list[str] = []
    with ReplyCache(tmp_path, log.append) as cache:
        ((_, reply),) = cache.cached(answer, max_failed=0.0)([request()])
        assert reply.text == "again"
        assert cache.damaged_lines == [DamagedLine(file, file.stat().st_size - len(bad), len(bad))]
        assert cache.reply("k") == Reply("x", "stop", 3, 4)
    assert log[0].startswith(
        f"{file}: {len(bad)} bytes at {len(line_of({'key': 'k', 'value': VALUE}))}"
    )
    assert log[0].isprintable()
    with ReplyCache(tmp_path) as cache:  # and what came then is what counts
        ((_, reply),) = cache.cached(lambda _: iter(()), max_failed=0.0)([request()])
        assert reply.text == "again"


FOREIGN = {
    "a list": [1],
    "a number": 5,
    "a text": "key",
    "null": None,
    "no key": {"value": VALUE},
    "a number for a key": {"key": 5, "value": VALUE},
    "no value": {"key": "a"},
    "a value that is a list": {"key": "a", "value": [1]},
    "a value that is a number": {"key": "a", "value": 5},
    "a null value": {"key": "a", "value": None},
    "more than key and value": {"key": "a", "value": VALUE, "more": 1},
    "two keys": b'{"key": "a", "key": "b", "value": {}}',
    "no JSON": b"hello",
    "nothing": b"",
    "deeply nested": b'{"key": "a", "value": ' + b"[" * 100_000,
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_line_of_another_shape_is_damaged_even_where_its_checksum_is_right(
    tmp_path: Path, content: Any
) -> None:
    line = line_of(content)
    file = tmp_path / f"{HOST}.log"
    file.write_bytes(line + line_of({"key": "k", "value": VALUE}))
    log: list[str] = []
    with ReplyCache(tmp_path, log.append) as cache:
        assert cache.get("a") is None
        assert cache.damaged_lines == [DamagedLine(file, 0, len(line))]
        assert cache.get("k") == VALUE
    assert len(log) == 1
    assert read_only(tmp_path, "a") is None


def fifo(path: Path) -> None:
    os.mkfifo(path)


def dangling(path: Path) -> None:
    path.symlink_to(path.parent / "gone" / "far")


def circle(path: Path) -> None:
    path.symlink_to(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


NO_FILES = [fifo, Path.mkdir, dangling, circle, device, bound]


@pytest.mark.parametrize("make", NO_FILES)
def test_a_log_that_is_no_file_is_reported_and_skipped(
    tmp_path: Path, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "s"
    with ReplyCache(folder) as cache:
        cache.put("k", VALUE)
    make(folder / "other.log")
    log: list[str] = []
    with ReplyCache(folder, log.append) as cache:
        assert cache.get("k") == VALUE
    (line,) = log
    assert line.startswith(f"{folder}/other.log: ")
    assert line.endswith("; it is skipped")
    assert read_only(folder, "k") == VALUE


@pytest.mark.parametrize("name", [f"{HOST}.log", "lock"])
@pytest.mark.parametrize("make", NO_FILES)
def test_a_lock_or_own_log_that_is_no_file_is_an_error(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    make(folder / name)
    with pytest.raises(NotAFileError, match="file") as caught, ReplyCache(folder):
        pass
    assert str(caught.value).startswith(f"{folder / name}: ")
    assert issubclass(NotAFileError, InputError)


@pytest.mark.parametrize("make", NO_FILES)
def test_an_unwritable_list_of_failures_costs_no_reply(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    make(folder / FAILED_FILE)
    log: list[str] = []
    with ReplyCache(folder, log.append) as cache:
        cache.put("k", VALUE)
        cache.failed["f"] = make_failure("HTTP 400", "too long")
    if make is Path.mkdir:
        assert log[-1].startswith(f"{folder / FAILED_FILE}: failures cannot be written: ")
    else:
        (line,) = (folder / FAILED_FILE).read_text().splitlines()
        assert json.loads(line) == {
            "key": "f",
            "kind": "HTTP 400",
            "reason": "HTTP 400: too long",
        }
    with ReplyCache(folder) as cache:
        assert cache.get("k") == VALUE


@pytest.mark.parametrize("place", ["", "deeper"])
def test_a_file_where_the_folder_should_be_is_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(InputError, match="expected a folder for replies"),
        ReplyCache(tmp_path / "file" / place),
    ):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
@pytest.mark.parametrize("waits", [False, True])
def test_a_file_system_without_locks_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, waits: bool
) -> None:
    def flock(_: int, operation: int) -> None:
        if waits and operation & fcntl.LOCK_NB:
            raise BlockingIOError(errno.EWOULDBLOCK, "another has it")
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(InputError) as caught, ReplyCache(tmp_path / "s"):
        pass
    assert str(caught.value).startswith(
        f"{tmp_path}/s/lock: cannot be locked: {os.strerror(number)}; expected a file system"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_one_line(tmp_path: Path) -> None:
    with ReplyCache(tmp_path / "s"):
        pass
    (tmp_path / "s" / "other.log").touch(mode=0)
    with (
        pytest.raises(InputError, match=r"other\.log: Permission denied"),
        ReplyCache(tmp_path / "s"),
    ):
        pass


MANY_HOSTS = """
import resource, sys
from pathlib import Path
from delta.inference.reply_cache import ReplyCache
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
for _ in range(2):
    with ReplyCache(Path(sys.argv[1])) as cache:
        for order in (1, -1):
            for n in list(range(1_100))[::order]:
                assert cache.get(f"key {n}")["text"] == "x", n
        cache.put("own", {"n": 1})
        assert cache.get("own") == {"n": 1}
print("all read", len(cache))
"""


def test_the_files_of_1100_hosts_need_no_1100_descriptors(tmp_path: Path) -> None:
    for number in range(1_100):
        line = line_of({"key": f"key {number}", "value": VALUE})
        (tmp_path / f"host-{number}.log").write_bytes(line)
    command = [sys.executable, "-c", MANY_HOSTS, str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("all read 1101\n", "")


def test_a_file_deleted_while_it_is_read_loses_only_its_replies(tmp_path: Path) -> None:
    file = tmp_path / "other.log"
    file.write_bytes(line_of({"key": request().key(), "value": VALUE}))
    with ReplyCache(tmp_path) as cache:
        file.unlink()
        ((_, reply),) = cache.cached(answer, max_failed=0.0)([request()])
    assert reply.text == "again"


@pytest.mark.parametrize("ended", [True, False])
def test_an_overlong_line_is_not_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: bool
) -> None:
    monkeypatch.setattr("delta.inference.reply_lines.MAX_LINE_BYTES", 1_000)
    whole = line_of({"key": "k", "value": VALUE})
    long = b"x" * 5_500 + b"\n" * ended
    file = tmp_path / "other.log"
    file.write_bytes(whole + long + whole.replace(b'"k"', b'"l"'))
    with ReplyCache(tmp_path) as cache:
        assert cache.get("k") == VALUE
        after = len(whole) if not ended else 0  # what follows without a line end belongs to it
        assert cache.damaged_lines[0] == DamagedLine(file, len(whole), len(long) + after)
    assert read_only(tmp_path, "k") == VALUE


def test_a_file_without_a_line_end_is_read_in_bounded_memory(tmp_path: Path) -> None:
    with (tmp_path / "other.log").open("wb") as file:
        file.truncate(3 * 2**27)  # a hole: it takes no room
    code = (
        "import resource, sys; from pathlib import Path; "
        "from delta.inference.reply_cache import ReplyCache\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (2**28, 2**28))\n"
        "with ReplyCache(Path(sys.argv[1])) as cache: print(len(cache))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("0\n", "")
