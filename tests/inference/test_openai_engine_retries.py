"""A server that fails: what is sent again, after which pause, and what a failure costs."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from aiohttp import web

from delta.core.errors import IncompleteError
from delta.inference.openai_engine import ServerRefusedError, backoff_s, parse_retry_after
from delta.inference.reply_cache import FAILED_FILE, ReplyCache
from delta.inference.types import Failure, Reply
from tests.helpers.scripted_server import (
    Raw,
    ScriptedServer,
    answer,
    completion,
    engine_at,
    fail_first,
    plain_requests,
    run_server,
)


def to_another(_: dict[str, Any]) -> dict[str, Any]:
    return completion("x") | {"id": f"chatcmpl-delta-{plain_requests(9)[8].key()}"}


async def half_sent(request: web.Request) -> web.StreamResponse:
    """Announce a longer body than is sent, and close the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = 1_000
    await response.prepare(request)
    await response.write(b'{"choices": [')
    assert request.transport is not None
    request.transport.close()
    return response


async def stalled(request: web.Request) -> web.StreamResponse:
    """Send the start of a body and stall."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"choices": [')
    await asyncio.sleep(30)
    return response


async def silent(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


JSON = "application/json"
FAILURES: list[Any] = [
    *(
        pytest.param(lambda code=code: web.Response(status=code), f"HTTP {code}", id=f"{code}")
        for code in (408, 409, 425, 429, 500, 502, 503, 504, 507, 520, 524, 529)
    ),
    *(
        pytest.param(make, reason, id=name)
        for name, reason, make in (
            (
                "no JSON",
                "ValueError: the body is text/plain, expected application/json",
                lambda: web.Response(text="<html>"),
            ),
            ("empty", "JSONDecodeError", lambda: web.Response(content_type=JSON)),
            (
                "half a JSON",
                "JSONDecodeError",
                lambda: web.Response(text='{"choices": [{"mess', content_type=JSON),
            ),
            (
                "no UTF-8",
                "JSONDecodeError",
                lambda: web.Response(body=b'{"choices": "\xff"}', content_type=JSON),
            ),
            (
                "half a surrogate pair",
                "JSONDecodeError",
                lambda: web.json_response(completion("\ud800")),
            ),
            ("no choice", "IndexError", lambda: web.json_response({"choices": []})),
            ("null for choices", "TypeError", lambda: web.json_response({"choices": None})),
            ("a list", "TypeError", lambda: web.json_response([])),
            (
                "an error with 200",
                'error in a reply: {"message":"overloaded"}',
                lambda: web.json_response({"error": {"message": "overloaded"}, "choices": None}),
            ),
            (
                "content in parts",
                "text is ['x']",
                lambda: web.json_response(completion(["x"])),  # type: ignore[arg-type]
            ),
            ("no usage", "TypeError", lambda: web.json_response(completion("x") | {"usage": None})),
            ("to another request", "another request", lambda: web.json_response(to_another({}))),
        )
    ),
]


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize(("failure", "reason"), FAILURES)
def test_a_transient_failure_is_retried_and_a_lasting_one_is_returned(
    server: ScriptedServer, failure: Callable[[], web.Response], reason: str
) -> None:
    server.answer = fail_first(2, failure)
    ((_, reply),) = engine_at(server.url).generate(plain_requests(1))
    assert isinstance(reply, Reply)
    assert server.count() == 3
    server.answer = fail_first(100, failure)
    ((_, lost),) = engine_at(server.url).generate(plain_requests(1))
    assert isinstance(lost, Failure)
    assert reason in lost.reason
    assert lost.reason.endswith(", after 3 attempts")
    assert server.count() == 3


@pytest.mark.usefixtures("_no_pauses")
@pytest.mark.parametrize(
    ("raw", "reason"),
    [(half_sent, "ClientPayloadError"), (stalled, "TimeoutError"), (silent, "Disconnected")],
)
def test_a_broken_or_stalled_connection_is_retried(
    server: ScriptedServer, raw: Raw, reason: str
) -> None:
    server.raw = raw
    ((_, lost),) = engine_at(server.url, max_retries=1, timeout_s=0.5).generate(plain_requests(1))
    assert isinstance(lost, Failure)
    assert reason in lost.reason
    # aiohttp itself sends once more where a kept connection was closed before any answer.
    assert 2 <= server.count() <= 4


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_refused_request_fails_alone(server: ScriptedServer, code: int) -> None:
    def refuses(payload: dict[str, Any]) -> web.Response:
        if payload["seed"] == plain_requests(3)[1].sampling_seed():
            return web.Response(status=code, text="too long")
        return answer(payload)

    server.answer = refuses
    replies = dict(engine_at(server.url).generate(plain_requests(3)))
    assert [isinstance(replies[request], Reply) for request in plain_requests(3)] == [
        True,
        False,
        True,
    ]
    assert replies[plain_requests(3)[1]] == Failure(f"HTTP {code}: too long", f"HTTP {code}")
    assert server.count() == 3


@pytest.mark.parametrize("code", [401, 403, 404, 405])
def test_a_wrong_key_path_or_name_ends_all_requests_at_once(
    server: ScriptedServer, code: int
) -> None:
    server.answer = fail_first(9, lambda: web.Response(status=code, text="no such key"))
    with pytest.raises(ServerRefusedError, match=f"HTTP {code}: no such key"):
        list(engine_at(server.url, concurrency=1).generate(plain_requests(9)))
    assert server.count() == 1


def test_pauses_grow_and_ten_attempts_outlast_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0.5 <= backoff_s(1) <= 1 <= backoff_s(2) <= 2
    assert len({backoff_s(3) for _ in range(9)}) == 9
    monkeypatch.setattr("delta.inference.openai_engine.random.uniform", lambda low, _: low)
    assert [backoff_s(n) for n in range(1, 8)] == [0.5, 1, 2, 4, 8, 15, 15]
    assert sum(backoff_s(n) for n in range(1, 10)) == 75.5


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 0), ("3", 3), ("-3", 0), ("soon", 0), ("", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)
def test_retry_after_may_be_a_number(header: str | None, seconds: float) -> None:
    assert parse_retry_after(header) == seconds


def test_retry_after_may_be_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 98 <= parse_retry_after(later) <= 100


@pytest.mark.usefixtures("_no_pauses")
def test_all_requests_wait_as_long_as_a_busy_server_asks(server: ScriptedServer) -> None:
    server.answer = fail_first(1, lambda: web.Response(status=429, headers={"Retry-After": "2"}))
    assert len(list(engine_at(server.url, concurrency=1).generate(plain_requests(4)))) == 4
    first, second = server.arrived[:2]
    assert 2.0 <= second - first < 4.0
    assert server.count() == 5


@pytest.mark.usefixtures("_no_pauses")
def test_no_server_can_ask_for_a_longer_pause_than_a_request_may_take(
    server: ScriptedServer,
) -> None:
    server.answer = fail_first(
        1, lambda: web.Response(status=503, headers={"Retry-After": "86400"})
    )
    start = time.monotonic()
    assert len(list(engine_at(server.url, timeout_s=1.0).generate(plain_requests(1)))) == 1
    assert time.monotonic() - start < 5


@pytest.mark.usefixtures("_no_pauses")
def test_a_refused_connection_is_a_failure_after_all_attempts() -> None:
    with run_server() as gone:
        url = gone.url
    results = [result for _, result in engine_at(url).generate(plain_requests(2))]
    assert len(results) == 2
    for lost in results:
        assert isinstance(lost, Failure)
        assert "ClientConnectorError" in lost.reason


@pytest.mark.slow
def test_a_server_that_is_away_for_a_minute_costs_nothing(tmp_path: Path) -> None:
    """The server gets ten attempts, as in the profiles, with their real pauses."""
    with run_server() as server:
        engine = engine_at(server.url, max_retries=9, concurrency=2)
        port = int(server.url.split(":")[2].split("/")[0])
    back: list[Any] = []

    def come_back() -> None:
        back.append(run_server(port))
        back.append(back[0].__enter__())

    timer = Timer(60, come_back)
    timer.start()
    try:
        with ReplyCache(tmp_path) as cache:
            replies = list(cache.cached(engine.generate, max_failed=0.0)(plain_requests(6)))
        assert [reply.finish_reason for _, reply in replies] == ["stop"] * 6
        assert back[1].count() == 6
        assert not (tmp_path / FAILED_FILE).exists()
    finally:
        timer.join()
        back[0].__exit__(None, None, None)


@pytest.mark.usefixtures("_no_pauses")
def test_replies_before_the_server_failed_are_kept(server: ScriptedServer, tmp_path: Path) -> None:
    def dies(payload: dict[str, Any]) -> web.Response:
        return answer(payload) if len(server.seen) <= 5 else web.Response(status=503)

    server.answer = dies
    engine = engine_at(server.url, concurrency=1)
    message = (
        r"^1 of 8 requests failed, expected at most the fraction 0\.0: "
        r"1 x HTTP 503, after 3 attempts\. 5 replies are kept, 2 were not waited for; "
        r"run the same command to resume$"
    )
    with ReplyCache(tmp_path) as cache, pytest.raises(IncompleteError, match=message):
        list(cache.cached(engine.generate, max_failed=0.0)(plain_requests(8)))
    assert server.count() >= 5 + 3
    server.answer = answer
    with ReplyCache(tmp_path) as cache:
        assert len(list(cache.cached(engine.generate, max_failed=0.0)(plain_requests(8)))) == 8
    assert server.count() == 3


@pytest.mark.usefixtures("_no_pauses")
def test_up_to_max_failed_failures_become_rows_and_are_listed(
    server: ScriptedServer, tmp_path: Path
) -> None:
    unlucky = {request.sampling_seed() for request in plain_requests(8)[:2]}

    def refuses(payload: dict[str, Any]) -> web.Response:
        return web.Response(status=500) if payload["seed"] in unlucky else answer(payload)

    server.answer = refuses
    engine = engine_at(server.url)
    log: list[str] = []
    with ReplyCache(tmp_path / "cache", log.append) as cache:
        replies = dict(cache.cached(engine.generate, max_failed=0.25)(plain_requests(8)))
    assert [replies[request].finish_reason for request in plain_requests(8)] == ["failed"] * 2 + [
        "stop"
    ] * 6
    assert cache.failures() == {"HTTP 500": 2}
    file = tmp_path / "cache" / FAILED_FILE
    assert f"2 of 8 requests failed: 2 x HTTP 500, after 3 attempts; {file} lists them" in log[-1]
    lines = [
        json.loads(line) for line in (tmp_path / "cache" / FAILED_FILE).read_text().splitlines()
    ]
    assert {failure["key"]: failure["reason"] for failure in lines} == {
        request.key(): "HTTP 500, after 3 attempts" for request in plain_requests(8)[:2]
    }
    with (
        ReplyCache(tmp_path / "cache") as cache,
        pytest.raises(IncompleteError, match=r"(1|2) of 8"),
    ):
        list(cache.cached(engine.generate, max_failed=0.1)(plain_requests(8)))
    server.count()
    server.answer = answer
    with ReplyCache(tmp_path / "cache") as cache:
        replies = dict(cache.cached(engine.generate, max_failed=0.0)(plain_requests(8)))
    assert server.count() == 2
    assert [replies[request].finish_reason for request in plain_requests(8)] == ["stop"] * 8
    assert not (tmp_path / "cache" / FAILED_FILE).exists()
