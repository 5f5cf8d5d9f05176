"""Several addresses of one server: which gets a request, and what the loss of one costs."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import web

from delta.inference.reply_cache import ReplyCache
from delta.inference.types import Reply
from tests.helpers.scripted_server import (
    Raw,
    ScriptedServer,
    answer,
    engine_at,
    fail_first,
    plain_requests,
    run_server,
)

pytestmark = pytest.mark.usefixtures("_no_pauses")


@pytest.fixture
def first() -> Iterator[ScriptedServer]:
    with run_server() as server:
        yield server


@pytest.fixture
def second() -> Iterator[ScriptedServer]:
    with run_server() as server:
        yield server


def after(seconds: float) -> Raw:
    async def answers(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return answer(await request.json())

    return answers


def test_equal_servers_get_equal_numbers_of_requests(
    first: ScriptedServer, second: ScriptedServer
) -> None:
    first.raw = second.raw = after(0.05)
    assert len(list(engine_at(first.url, second.url).generate(plain_requests(40)))) == 40
    shares = first.count(), second.count()
    assert sum(shares) == 40
    assert min(shares) >= 15


def test_the_least_busy_server_is_asked(first: ScriptedServer, second: ScriptedServer) -> None:
    first.raw = after(1.0)
    assert len(list(engine_at(first.url, second.url).generate(plain_requests(40)))) == 40
    assert first.count() <= 4  # of the four at once, until both had the same to do
    assert second.count() >= 36


def test_the_loss_of_a_server_costs_its_requests_in_flight(
    first: ScriptedServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        dying = stack.enter_context(run_server())
        dying.raw = first.raw = after(0.05)
        engine = engine_at(dying.url, first.url)
        with ReplyCache(tmp_path) as cache:
            replies = cache.cached(engine.generate, max_failed=0.0)(plain_requests(60))
            some = [next(replies) for _ in range(10)]
            stack.close()
            some += replies
        lost = dying.count()
    assert {request for request, _ in some} == set(plain_requests(60))
    assert lost > 0
    assert lost + first.count() <= 60 + 4  # four were under way at most


def test_a_dead_server_is_avoided_for_a_while(first: ScriptedServer) -> None:
    with run_server() as gone:
        url = gone.url
    start = time.monotonic()
    replies = dict(engine_at(url, first.url, max_retries=1).generate(plain_requests(40)))
    assert all(isinstance(reply, Reply) for reply in replies.values())
    assert first.count() == 40
    assert time.monotonic() - start < 5


def test_a_busy_server_pauses_while_others_go_on(
    first: ScriptedServer, second: ScriptedServer
) -> None:
    first.answer = fail_first(9, lambda: web.Response(status=429, headers={"Retry-After": "4"}))
    start = time.monotonic()
    engine = engine_at(first.url, second.url, concurrency=2)
    assert len(list(engine.generate(plain_requests(30)))) == 30
    assert time.monotonic() - start < 4
    assert first.count() <= 2
    assert second.count() == 30
