"""The reply cache: no reply is lost, requested twice, or used when damaged."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from delta.inference.reply_cache import DamagedLine, ReplyCache, open_reply_cache, replies_folder
from delta.inference.types import Reply, Request
from tests.helpers.echo_engine import Echo, make_request

ROOT = Path(__file__).parents[2]
HOST = socket.gethostname()
LINE = len('12345678 {"key":"a","value":{"n":1}}\n')  # of every reply below

HOLD_THE_LOCK = """
import sys
from pathlib import Path
from delta.inference.reply_cache import ReplyCache
with ReplyCache(Path(sys.argv[1])) as cache:
    print("locked", flush=True)
    sys.stdin.read()
    cache.put("theirs", {"n": 1})
"""
WRITE_UNTIL_KILLED = """
import itertools, sys
from pathlib import Path
from delta.inference.reply_cache import ReplyCache
with ReplyCache(Path(sys.argv[1])) as cache:
    for number in itertools.count():
        cache.put(f"key {number}", {"n": number})
        print(number, flush=True)
"""


def fill(folder: Path, *keys: str) -> Path:
    """Write a cache with the reply {"n": 1} for each key, and return its file."""
    with ReplyCache(folder) as cache:
        for key in keys:
            cache.put(key, {"n": 1})
    return folder / f"{HOST}.log"


def intact_keys(folder: Path) -> list[str]:
    with ReplyCache(folder) as cache:
        return [key for key in "abcdefg" if cache.get(key) == {"n": 1}]


def start_python(code: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_value_can_be_read_at_once_and_after_reopening(tmp_path: Path) -> None:
    value = {"text": "$\\boxed{½}$\nsecond line\u2028third", "n": [1, None, 2.5]}
    with ReplyCache(tmp_path / "cache") as cache:
        cache.put("a", value)
        assert cache.get("a") == value
    with ReplyCache(tmp_path / "cache") as cache:
        assert (cache.get("a"), len(cache), cache.get("b")) == (value, 1, None)


def test_the_last_of_two_replies_to_one_key_counts(tmp_path: Path) -> None:
    with ReplyCache(tmp_path) as cache:
        cache.put("a", {"n": 0})
        cache.put("a", {"n": 1})
        assert cache.get("a") == {"n": 1}
    assert intact_keys(tmp_path) == ["a"]


@pytest.mark.parametrize("missing", [1, 2, LINE // 2, LINE - 1])
def test_an_incomplete_last_line_loses_one_reply_and_writing_goes_on(
    tmp_path: Path, missing: int
) -> None:
    file = fill(tmp_path, "a", "b", "c")
    os.truncate(file, 3 * LINE - missing)
    with ReplyCache(tmp_path) as cache:
        assert cache.damaged_lines == []
        assert [key for key in "abc" if cache.get(key)] == ["a", "b"]
        cache.put("d", {"n": 1})
    assert intact_keys(tmp_path) == ["a", "b", "d"]
    assert file.stat().st_size == 3 * LINE


@pytest.mark.parametrize("place", [0, 8, 20, LINE - 2])
def test_a_flipped_bit_is_named_and_the_rest_is_kept(tmp_path: Path, place: int) -> None:
    file = fill(tmp_path, "a", "b", "c")
    content = bytearray(file.read_bytes())
    content[LINE + place] ^= 4
    file.write_bytes(content)
    log: list[str] = []
    with ReplyCache(tmp_path, log.append) as cache:
        assert cache.damaged_lines == [DamagedLine(file, LINE, LINE)]
        assert [cache.get(key) for key in "abc"] == [{"n": 1}, None, {"n": 1}]
    assert len(log) == 1
    assert log[0].startswith(f"{file}: {LINE} bytes at {LINE} are damaged;")


def test_a_flipped_line_end_costs_the_two_lines_it_joins(tmp_path: Path) -> None:
    file = fill(tmp_path, "a", "b", "c", "d")
    content = bytearray(file.read_bytes())
    content[2 * LINE - 1] ^= 4
    file.write_bytes(content)
    with ReplyCache(tmp_path) as cache:
        assert cache.damaged_lines == [DamagedLine(file, LINE, 2 * LINE)]
    assert intact_keys(tmp_path) == ["a", "d"]


def test_a_damaged_reply_is_asked_again_and_then_kept(tmp_path: Path) -> None:
    wanted = [make_request("one"), make_request("two"), make_request("three")]
    with ReplyCache(tmp_path) as cache:
        list(cache.cached(Echo(), max_failed=0.0)(wanted))
    file = tmp_path / f"{HOST}.log"
    file.write_bytes(file.read_bytes().replace(b"re: two", b"re: owt"))
    for prompts in (["two"], []):
        again = Echo()
        with ReplyCache(tmp_path) as cache:
            replies = dict(cache.cached(again, max_failed=0.0)(wanted))
        assert again.prompts == prompts
        assert [replies[request].text for request in wanted] == ["re: one", "re: two", "re: three"]


def test_a_second_process_waits_and_finds_the_first_ones_replies(tmp_path: Path) -> None:
    with start_python(HOLD_THE_LOCK, tmp_path / "cache") as first:
        assert first.stdin is not None
        assert first.stdout is not None
        assert first.stdout.readline() == "locked\n"
        log: list[str] = []

        def say(text: str) -> None:
            log.append(text)
            first.communicate()  # only now the first one may go on and end

        with ReplyCache(tmp_path / "cache", say) as cache:
            assert cache.get("theirs") == {"n": 1}
    assert log == ["cache: another run works on this; waiting for its replies"]


def test_files_of_two_hosts_side_by_side_are_one_cache(tmp_path: Path) -> None:
    fill(tmp_path, "a", "b").rename(tmp_path / "another-host.log")
    fill(tmp_path, "c")
    assert intact_keys(tmp_path) == ["a", "b", "c"]


def test_another_hosts_incomplete_file_is_read_and_not_changed(tmp_path: Path) -> None:
    other = fill(tmp_path, "a", "b").rename(tmp_path / "another-host.log")
    os.truncate(other, 2 * LINE - 3)
    fill(tmp_path, "c")
    assert intact_keys(tmp_path) == ["a", "c"]
    assert other.stat().st_size == 2 * LINE - 3


def test_sigkill_loses_no_reply_that_put_returned_for(tmp_path: Path) -> None:
    with start_python(WRITE_UNTIL_KILLED, tmp_path) as writer:
        assert writer.stdout is not None
        for _ in range(500):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        last = max([last, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    with ReplyCache(tmp_path) as cache:
        assert cache.damaged_lines == []
        assert [n for n in range(last + 1) if cache.get(f"key {n}") != {"n": n}] == []
        assert len(cache) <= last + 2  # one may have been put and not yet reported


def test_equal_requests_are_asked_once_and_every_field_makes_a_difference(tmp_path: Path) -> None:
    echo = Echo()
    with ReplyCache(tmp_path) as cache:
        replies = list(
            cache.cached(echo, max_failed=0.0)(
                [make_request("one"), make_request("one"), make_request("one", 1)]
            )
        )
    assert echo.prompts == ["one", "one"]
    assert len(replies) == 2


def test_the_key_of_a_request_never_changes_because_caches_hold_it() -> None:
    """SHA-256 of the fields as JSON: sorted, ASCII only, a space after each comma and colon."""
    request = Request("m", "e", 'é "\u2028"', 0.7, 1e-7, 16, 1, 0, stop=("a", "ß"), schema="{}")
    text = (
        '{"attempt": 0, "channels": false, "engine": "e", "keep_special_tokens": false, '
        '"max_tokens": 16, "model": "m", "prompt": "\\u00e9 \\"\\u2028\\"", "sample": 0, '
        '"schema": "{}", "seed": 1, "stop": ["a", "\\u00df"], "temperature": 0.7, "top_p": 1e-07}'
    )
    assert request.key() == request.key() == hashlib.sha256(text.encode()).hexdigest()


def test_older_lines_in_ascii_with_spaces_are_read(tmp_path: Path) -> None:
    text = b'{"key": "a", "value": {"text": "\\u00e9 \\ud83d\\ude00"}}'
    (tmp_path / f"{HOST}.log").write_bytes(b"%08x %b\n" % (zlib.crc32(text), text))
    with ReplyCache(tmp_path) as cache:
        cache.put("b", {"text": "\u2028 ß \n 😀"})
    with ReplyCache(tmp_path) as cache:
        assert cache.get("a") == {"text": "é 😀"}
        assert cache.get("b") == {"text": "\u2028 ß \n 😀"}
        assert not cache.damaged_lines
    with ReplyCache(tmp_path, read_only=True, max_bytes=10_000) as cache:
        assert len(cache) == 2
        assert cache.get("a")
        assert cache.get("b")


def test_a_cached_reply_with_invalid_unicode_or_nan_is_requested_again(tmp_path: Path) -> None:
    texts = [
        b'{"key": "a", "value": {"text": "\\ud83d"}}',
        b'{"key": "b", "value": {"mean": NaN}}',
        b'{"key": "\\ud83d", "value": {}}',
    ]
    lines = [b"%08x %b\n" % (zlib.crc32(text), text) for text in texts]
    (tmp_path / f"{HOST}.log").write_bytes(b"".join(lines))
    with ReplyCache(tmp_path) as cache:
        assert [cache.get(key) for key in ("a", "b")] == [None, None]
        assert sorted(line.offset for line in cache.damaged_lines) == [0, 51, 97]
        cache.put("a", {"text": "whole"})
    with ReplyCache(tmp_path) as cache:
        assert cache.get("a") == {"text": "whole"}


def test_only_missing_replies_are_requested(tmp_path: Path) -> None:
    with ReplyCache(tmp_path) as cache:
        list(cache.cached(Echo(), max_failed=0.0)([make_request("one")]))
        echo = Echo()
        replies = dict(
            cache.cached(echo, max_failed=0.0)([make_request("one"), make_request("two")])
        )
        assert echo.prompts == ["two"]
        assert replies[make_request("one")] == Reply("re: one", "stop", 1, 2)
        nothing_missing = Echo(stop_after=0)
        assert len(list(cache.cached(nothing_missing, max_failed=0.0)([make_request("one")]))) == 1


def test_a_reply_is_on_disk_before_it_is_yielded(tmp_path: Path) -> None:
    with ReplyCache(tmp_path) as cache:
        for request, _ in cache.cached(Echo(), max_failed=0.0)(
            [make_request("one"), make_request("two")]
        ):
            assert request.key() in (tmp_path / f"{HOST}.log").read_text()


def test_replies_before_the_engine_died_are_not_requested_again(tmp_path: Path) -> None:
    wanted = [make_request(name) for name in ("one", "two", "three")]
    with pytest.raises(ConnectionError), ReplyCache(tmp_path) as cache:
        list(cache.cached(Echo(stop_after=2), max_failed=0.0)(wanted))
    echo = Echo()
    with ReplyCache(tmp_path) as cache:
        assert len(list(cache.cached(echo, max_failed=0.0)(wanted))) == 3
    assert echo.prompts == ["three"]


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        ({}, ".dvc/replies"),
        ({"config": "[core]\n    autostage = true\n"}, ".dvc/replies"),
        ({"config": "[cache]\n    dir = /big/cache\n"}, "/big/replies"),
        ({"config": "[cache]\n    dir = ../../shared/cache\n"}, "{above}/shared/replies"),
        ({"config": "[cache]\n    dir = /a%b/cache\n"}, "/a%b/replies"),
        (
            {
                "config": "[cache]\n    dir = /big/cache\n['remote \"s3\"']\n    url = s3://b/100%\n",
                "config.local": "[cache]\n    dir = /fast/cache\n",
            },
            "/fast/replies",
        ),
    ],
)
def test_the_reply_cache_is_beside_the_cache_of_dvc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], folder: str
) -> None:
    workspace = tmp_path / "workspace"
    (workspace / ".dvc").mkdir(parents=True)
    for name, text in files.items():
        (workspace / ".dvc" / name).write_text(text)
    monkeypatch.chdir(workspace)
    monkeypatch.delenv("DELTA_REPLY_CACHE", raising=False)
    assert replies_folder() == Path(folder.format(above=tmp_path))


def test_the_environment_variable_wins_and_a_cache_is_named_by_item_and_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELTA_REPLY_CACHE", str(tmp_path))
    with open_reply_cache("generate-zero-shot", "0123456789abcdef", print) as cache:
        assert cache.folder == tmp_path / "generate-zero-shot-0123456789ab"
