"""A hostile or misconfigured server: its replies are checked, and it crashes no stage."""

import asyncio
import gzip
import json
import math
import re
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from delta.core.errors import InputError
from delta.inference.engine import read_reply
from delta.inference.openai_engine import ServerRefusedError, parse_retry_after
from delta.inference.reply_cache import FAILED_FILE, ReplyCache
from delta.inference.types import Failure, Reply
from tests.helpers.scripted_server import (
    ScriptedServer,
    answer,
    completion,
    engine_at,
    plain_requests,
    run_server,
)

pytestmark = pytest.mark.usefixtures("_no_pauses")
KEY = "sk-Proj-8fGh2kLm9QwErTy4ZxCv"


def ask_one(server: ScriptedServer, **settings: Any) -> Reply | Failure:
    ((_, reply),) = engine_at(server.url, **settings).generate(plain_requests(1))
    return reply


def usage(value: Any, name: str = "completion_tokens") -> dict[str, Any]:
    return completion("x") | {"usage": {"prompt_tokens": 3, "completion_tokens": 4, name: value}}


def ending(end: Any, **message: Any) -> dict[str, Any]:
    choice = {"message": {"content": "half an ans", **message}, "finish_reason": end}
    return completion("") | {"choices": [choice]}


NO_COUNTS = ["20", "", 2**31, 2**63, 10**30, [4], {"n": 4}, 1.5, 4.0, -5, None, True]


@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
@pytest.mark.parametrize("value", NO_COUNTS, ids=repr)
def test_an_invalid_token_count_is_a_failed_attempt_and_never_cached(
    server: ScriptedServer, tmp_path: Path, name: str, value: Any
) -> None:
    server.answer = lambda _: web.json_response(usage(value, name))
    with ReplyCache(tmp_path) as cache:
        generate = cache.cached(engine_at(server.url).generate, max_failed=1.0)
        ((_, reply),) = generate(plain_requests(1))
        assert reply.finish_reason == "failed"
        assert cache.failures() == {"invalid reply": 1}
        assert len(cache) == 0
    assert server.count() == 3
    (line,) = (tmp_path / FAILED_FILE).read_text().splitlines()
    assert json.loads(line)["reason"].startswith(f"invalid reply: ValueError: {name} is ")


@pytest.mark.parametrize("end", ["abort", "error", "repetition", None])
def test_an_aborted_reply_is_retried_and_never_cached(
    server: ScriptedServer, tmp_path: Path, end: str | None
) -> None:
    broken = [web.json_response(ending(end)) for _ in range(2)]
    server.answer = lambda payload: broken.pop() if broken else answer(payload)
    assert isinstance(ask_one(server), Reply)
    assert server.count() == 3
    server.answer = lambda _: web.json_response(ending(end))
    with ReplyCache(tmp_path) as cache:
        list(cache.cached(engine_at(server.url).generate, max_failed=1.0)(plain_requests(2)))
        assert cache.failures() == {f"finish_reason {end or 'null'}": 2}
        assert len(cache) == 0


@pytest.mark.parametrize("end", ["eos", "", "STOP", 0, [], {}, True])
def test_an_unknown_finish_reason_is_no_reply(server: ScriptedServer, end: Any) -> None:
    server.answer = lambda _: web.json_response(ending(end))
    reply = ask_one(server)
    assert isinstance(reply, Failure)
    assert reply.kind == "invalid reply"


@pytest.mark.parametrize("end", ["content_filter", "tool_calls"])
def test_a_refusal_is_an_answer_without_text(server: ScriptedServer, end: str) -> None:
    server.answer = lambda _: web.json_response(ending(end))
    assert ask_one(server) == Reply("", "refused", 3, 4)


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
@pytest.mark.parametrize("content", [None, "", "\n\n"])
@pytest.mark.parametrize("end", ["stop", "length"])
def test_reasoning_without_an_answer_is_kept_and_the_answer_is_missing(
    server: ScriptedServer, tmp_path: Path, name: str, content: str | None, end: str
) -> None:
    message = {"content": content, name: "So \\boxed{2}."}
    server.answer = lambda _: web.json_response(ending(end, **message))
    engine = engine_at(server.url, chat_format="think")
    for _ in range(2):  # as it came, and from the cache
        with ReplyCache(tmp_path) as cache:
            ((_, reply),) = cache.cached(engine.generate, max_failed=0.0)(plain_requests(1))
        assert (reply.reasoning, reply.text.strip()) == ("So \\boxed{2}.", "")
        assert reply.finish_reason == end
        text, split = read_reply(reply, engine.chat_format, "")
        assert text == "<think>\nSo \\boxed{2}."
        assert split.answer_start is None
    assert server.count() == 1


@pytest.mark.parametrize("reasoning", [["x"], {"text": "x"}, 5])
def test_reasoning_that_is_no_string_is_a_failed_attempt(
    server: ScriptedServer, reasoning: Any
) -> None:
    server.answer = lambda _: web.json_response(ending("stop", reasoning=reasoning))
    assert isinstance(ask_one(server), Failure)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("9" * 400, 10**9),
        ("9" * 5_000, 10**9),
        ("0" * 400 + "7", 7),
        ("-" + "9" * 400, 0),
        ("nan", 0),
        ("inf", 0),
        ("1e9", 0),
        ("3.5", 0),
        ("\u0663", 0),
        ("Fri, 31 Dec 9999 23:59:59 -1200", 0),
        ("Mon, 01 Jan 0001 00:00:00 +1200", 0),
        ("Mon, 99 Foo 99999 99:99:99 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00 +999999999999", 0),
        (", " * 1_000, 0),
    ],
)
def test_any_retry_after_is_a_number_of_seconds(header: str, seconds: float) -> None:
    assert parse_retry_after(header) == seconds
    assert math.isfinite(parse_retry_after(header))


def test_a_retry_after_of_400_digits_ends_no_stage(server: ScriptedServer) -> None:
    headers = {"Retry-After": "9" * 400}
    busy = [web.Response(status=429, headers=headers)]
    server.answer = lambda payload: busy.pop() if busy else answer(payload)
    assert isinstance(ask_one(server, timeout_s=1.0), Reply)


def packed(encoding: str, mebibytes: int) -> bytes:
    code = zlib.compressobj(9, zlib.DEFLATED, 31 if encoding == "gzip" else 15)
    blanks = b" " * 2**20
    return b"".join(code.compress(blanks) for _ in range(mebibytes)) + code.flush()


def peak_memory() -> int:
    """Return the peak memory of this process in bytes."""
    (line,) = re.findall(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return 1024 * int(line)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("status", [200, 400])
def test_a_megabyte_that_decompresses_to_a_gibibyte_costs_no_memory(
    server: ScriptedServer, encoding: str, status: int
) -> None:
    body = packed(encoding, 1_024)
    assert len(body) < 2 * 2**20
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}

    async def bomb(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers=headers, status=status)

    server.raw = bomb
    Path("/proc/self/clear_refs").write_text("5")  # the most memory so far is that of now
    before = peak_memory()
    reply = ask_one(server)
    assert peak_memory() - before < 200 * 2**20
    assert isinstance(reply, Failure)
    assert reply.kind == ("too large" if status == 200 else "HTTP 400")


def test_a_compressed_reply_of_full_length_is_read(server: ScriptedServer) -> None:
    text = "\U0001f600" * 200_000  # 2.4 MB in JSON

    async def packs(_: web.Request) -> web.StreamResponse:
        body = gzip.compress(json.dumps(completion(text)).encode())
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        return web.Response(body=body, headers=headers)

    server.raw = packs
    assert ask_one(server) == Reply(text, "stop", 3, 4)


@pytest.mark.parametrize("status", [200, 400, 401])
def test_an_endless_body_is_abandoned(server: ScriptedServer, status: int) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while sent < 2**30:
            await response.write(b"x" * 2**16)
            sent += 2**16
            await asyncio.sleep(0)
        return response

    server.raw = endless
    started = time.monotonic()
    if status == 401:
        with pytest.raises(ServerRefusedError, match="HTTP 401: xxx"):
            ask_one(server)
    else:
        reply = ask_one(server, max_retries=0, timeout_s=20)
        assert isinstance(reply, Failure)
        assert len(reply.reason) <= 200
    assert time.monotonic() - started < 15
    assert sent < 2**26


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_neither_prompt_nor_key_to_another_host(
    server: ScriptedServer, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with run_server() as other:
        where = f"{other.url}/chat/completions?key={KEY}"
        server.answer = lambda _: web.Response(status=status, headers={"Location": where})
        engine = engine_at(server.url, concurrency=1, key="OPENAI_API_KEY")
        with pytest.raises(ServerRefusedError, match=f"HTTP {status}: redirects are not") as caught:
            list(engine.generate(plain_requests(3)))
        assert other.count() == 0
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert server.count() == 1


@pytest.mark.parametrize(
    "key",
    [f"{KEY}\n", f"{KEY}\r", "sk-\u00e4\u00f6\u00fc", "sk-\u4f60", "sk-1 sk-2", "sk-\x07"],
)
def test_a_key_that_no_header_can_carry_is_one_line_before_anything_is_sent(
    server: ScriptedServer, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(InputError, match=r"^\$OPENAI_API_KEY holds a line end, a blank") as caught:
        ask_one(server, key="OPENAI_API_KEY")
    assert key.strip() not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert server.count() == 0


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\xff\xfe\x00key", {}),
        (b"\xff\xfe\x00key", {"Content-Type": "text/plain; charset=utf-8"}),
        (b"key", {"Content-Type": "text/plain; charset=no-such-charset"}),
        (b"no gzip: key", {"Content-Encoding": "gzip"}),
    ],
)
def test_a_wrong_key_is_one_line_whatever_the_body(
    server: ScriptedServer, body: bytes, headers: dict[str, str]
) -> None:
    async def refuses(_: web.Request) -> web.StreamResponse:
        return web.Response(status=401, body=body, headers=headers)

    server.raw = refuses
    with pytest.raises(ServerRefusedError, match="/chat/completions: HTTP 401:") as caught:
        list(engine_at(server.url, concurrency=1).generate(plain_requests(9)))
    assert str(caught.value).isprintable()
    assert server.count() == 1


def test_the_message_of_a_busy_server_is_in_the_failure(server: ScriptedServer) -> None:
    server.answer = lambda _: web.Response(status=429, text="You exceeded your current quota")
    reason = "HTTP 429: You exceeded your current quota, after 3 attempts"
    assert ask_one(server) == Failure(reason, "HTTP 429")


@pytest.mark.parametrize("status", [501, 505])
def test_a_status_for_all_requests_ends_the_stage(server: ScriptedServer, status: int) -> None:
    server.answer = lambda _: web.Response(status=status)
    with pytest.raises(ServerRefusedError, match=f"HTTP {status}"):
        ask_one(server)
    assert server.count() == 1


def test_no_cookie_of_a_server_comes_back_to_it(server: ScriptedServer) -> None:
    cookies: list[str | None] = []

    async def sets_cookies(request: web.Request) -> web.StreamResponse:
        cookies.append(request.headers.get("Cookie"))
        response = answer(await request.json())
        response.set_cookie(f"name{len(cookies)}", "x" * 3_000, domain="localhost")
        return response

    server.raw = sets_cookies
    url = server.url.replace("127.0.0.1", "localhost")
    assert len(list(engine_at(url, concurrency=1).generate(plain_requests(4)))) == 4
    assert cookies == [None] * 4


def test_no_more_workers_than_requests(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers: list[object] = []
    create = asyncio.TaskGroup.create_task

    def counted(group: asyncio.TaskGroup, work: Any) -> Any:
        workers.append(work)
        return create(group, work)

    monkeypatch.setattr(asyncio.TaskGroup, "create_task", counted)
    assert len(list(engine_at(server.url, concurrency=1_000).generate(plain_requests(3)))) == 3
    assert len(workers) == 3


PLACES: dict[str, Callable[[str], web.Response]] = {
    "the text of an error": lambda key: web.Response(status=400, text=f"{key} is wrong"),
    "JSON escapes": lambda key: web.Response(status=400, text=f'{{"m": "\\u0073{key[1:]}"}}'),
    "the status line": lambda key: web.Response(status=400, reason=key),
    "the reply's id": lambda key: web.json_response(completion("x") | {"id": f"delta-{key}"}),
    "the end": lambda key: web.json_response(ending(key)),
    "the usage": lambda key: web.json_response(usage(key)),
    "the content type": lambda key: web.Response(body=b"x", content_type=f"text/{key.lower()}"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_key_that_the_server_repeats_is_in_no_file_and_no_log(
    server: ScriptedServer, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.answer = lambda _: PLACES[place](KEY)
    log: list[str] = []
    with ReplyCache(tmp_path, log.append) as cache:
        list(
            cache.cached(engine_at(server.url, key="OPENAI_API_KEY").generate, max_failed=1.0)(
                plain_requests(2)
            )
        )
        counted = json.dumps(cache.failures())
    everything = "".join([*log, counted, (tmp_path / FAILED_FILE).read_text()]).lower()
    assert not any(KEY.lower()[i : i + 6] in everything for i in range(len(KEY) - 5))


def test_a_thousand_failures_with_texts_of_their_own_are_one_class(
    server: ScriptedServer, tmp_path: Path
) -> None:
    def refuses(payload: dict[str, Any]) -> web.Response:
        return web.Response(status=400, text=f"request {payload['seed']} is refused\nfor good")

    server.answer = refuses
    log: list[str] = []
    with ReplyCache(tmp_path, log.append) as cache:
        list(cache.cached(engine_at(server.url).generate, max_failed=1.0)(plain_requests(1_000)))
        assert cache.failures() == {"HTTP 400": 1_000}
    lines = [json.loads(line) for line in (tmp_path / FAILED_FILE).read_text().splitlines()]
    assert len({line["reason"] for line in lines}) == 1_000
    assert {line["kind"] for line in lines} == {"HTTP 400"}
    assert "1000 of 1000 requests failed: 1000 x HTTP 400 (the first: HTTP 400: request " in log[-1]
    assert all(len(line) < 700 and line.isprintable() for line in log)
