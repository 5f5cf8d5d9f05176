"""How asking an endpoint ends before its time: no more is read, Ctrl-C, a wrong key."""

import gc
import signal
import socket
import threading
import time
from asyncio import Handle
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

from delta.inference.completions import parse
from delta.inference.openai_engine import EndpointError
from delta.inference.types import Reply
from tests.helpers.scripted_server import Server, endpoint, plain, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as one:
        yield one


def test_no_more_is_asked_than_is_read(server: Server) -> None:
    asking = iter(endpoint(server.url, concurrency=2).ask(plain(50)))
    next(asking)  # and it is not yet kept: a kill now would lose what has been asked
    time.sleep(0.5)
    asked = server.count()
    assert 2 <= asked <= 2 * 2
    assert len(list(asking)) == 49
    assert asked + server.count() == 50


def test_who_asks_no_more_leaves_nothing_running(server: Server) -> None:
    asking = iter(endpoint(server.url, concurrency=2).ask(plain(50)))
    next(asking)
    del asking
    time.sleep(0.5)  # what it had sent has arrived
    assert server.count() <= 2 * 2
    time.sleep(0.5)
    assert server.count() == 0


@pytest.fixture
def slow_name(monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a server whose name takes a while to be looked up; and then there is none."""
    look_up = socket.getaddrinfo

    def slowly(host: str, *rest: Any, **named: Any) -> Any:
        if host == "slow.invalid":
            time.sleep(0.5)
        return look_up(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    return "http://slow.invalid/v1"


def test_who_asks_no_more_while_a_name_is_looked_up_hears_nothing_of_it(
    server: Server, slow_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    asking = iter(endpoint(server.url, slow_name).ask(plain(50)))
    next(asking)
    asking.close()  # type: ignore[attr-defined]
    assert caplog.records == []


def test_a_wrong_key_while_a_name_is_looked_up_is_what_is_told(
    server: Server, slow_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = lambda _: web.Response(status=401)
    with pytest.raises(EndpointError, match="HTTP 401"):
        list(endpoint(server.url, slow_name).ask(plain(50)))
    assert caplog.records == []


class Ended(BaseException):
    """What our handler of a signal raises."""


@pytest.fixture
def _handled() -> Iterator[None]:
    def handle(*_: object) -> None:
        raise Ended

    before = {one: signal.signal(one, handle) for one in (signal.SIGINT, signal.SIGTERM)}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("_handled")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_step_of_the_loop_ends_it_and_nothing_else_is_said(
    server: Server,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Raised where a callback is about to be called, it would be lost: a task waits for it."""
    step = Handle._run
    left = 0

    def signalled(handle: Handle) -> None:
        nonlocal left
        if threading.current_thread() is threading.main_thread():
            left -= 1
            if left == 0:
                signal.raise_signal(number)
        step(handle)

    monkeypatch.setattr(Handle, "_run", signalled)
    for steps in range(1, 130, 3):
        left, read = steps, list[Any]()
        with pytest.raises(Ended):
            read.extend(endpoint(server.url, concurrency=4).ask(plain(60)))
        assert len(read) < 60
    gc.collect()
    assert caplog.records == []


@pytest.mark.usefixtures("_handled")
def test_a_signal_while_a_reply_is_read_costs_what_was_under_way(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: Any) -> Reply:
        replies.append(parse(*given))
        if len(replies) == 20:
            signal.raise_signal(signal.SIGINT)
        return replies[-1]

    replies: list[Reply] = []
    monkeypatch.setattr("delta.inference.completions.parse", interrupted)
    read: list[Any] = []
    with pytest.raises(Ended):
        read.extend(endpoint(server.url, concurrency=4).ask(plain(50)))
    assert 12 <= len(read) < 50
    time.sleep(0.5)  # what it had sent has arrived
    assert server.count() - len(read) <= 2 * 4
