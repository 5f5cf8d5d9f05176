"""Several servers that serve one model: who is asked, and what the loss of one costs."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import web

from delta.inference.reply_cache import ReplyCache
from delta.inference.types import Reply
from tests.helpers.scripted_server import Raw, Server, answer, endpoint, failing, plain, serving

pytestmark = pytest.mark.usefixtures("_no_pauses")


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delta.inference.openai_engine.backoff_s", lambda _: 0.0)


@pytest.fixture
def one() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Server]:
    with serving() as server:
        yield server


def after(seconds: float) -> Raw:
    async def answers(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return answer(await request.json())

    return answers


def test_servers_that_are_alike_are_asked_alike(one: Server, other: Server) -> None:
    one.raw = other.raw = after(0.05)
    assert len(list(endpoint(one.url, other.url).ask(plain(40)))) == 40
    shares = one.count(), other.count()
    assert sum(shares) == 40
    assert min(shares) >= 15


def test_the_server_with_least_to_do_is_asked(one: Server, other: Server) -> None:
    one.raw = after(1.0)
    assert len(list(endpoint(one.url, other.url).ask(plain(40)))) == 40
    assert one.count() <= 4  # of the four at once, until both had the same to do
    assert other.count() >= 36


def test_the_loss_of_a_server_costs_what_it_had_under_way(one: Server, tmp_path: Path) -> None:
    with ExitStack() as rack:
        dying = rack.enter_context(serving())
        dying.raw = one.raw = after(0.05)
        engine = endpoint(dying.url, one.url)
        with ReplyCache(tmp_path) as shelf:
            replies = shelf.cached(engine.ask, max_failed=0.0)(plain(60))
            some = [next(replies) for _ in range(10)]
            rack.close()
            some += replies
        lost = dying.count()
    assert {request for request, _ in some} == set(plain(60))
    assert lost > 0
    assert lost + one.count() <= 60 + 4  # four were under way at most


def test_a_dead_server_is_passed_over_for_a_while(one: Server) -> None:
    with serving() as gone:
        url = gone.url
    start = time.monotonic()
    replies = dict(endpoint(url, one.url, max_retries=1).ask(plain(40)))
    assert all(isinstance(reply, Reply) for reply in replies.values())
    assert one.count() == 40
    assert time.monotonic() - start < 5


def test_a_busy_server_is_left_alone_and_the_others_go_on(one: Server, other: Server) -> None:
    one.answer = failing(9, lambda: web.Response(status=429, headers={"Retry-After": "4"}))
    start = time.monotonic()
    assert len(list(endpoint(one.url, other.url, concurrency=2).ask(plain(30)))) == 30
    assert time.monotonic() - start < 4
    assert one.count() <= 2
    assert other.count() == 30
