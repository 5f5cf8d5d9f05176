"""Early ends: the reader stops, a signal arrives, or a key is wrong."""

import asyncio
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

from delta.inference.chat_completions import parse_body
from delta.inference.openai_engine import ServerRefusedError
from delta.inference.types import Reply
from tests.helpers.scripted_server import ScriptedServer, engine_at, plain_requests


def test_at_most_twice_concurrency_requests_are_ahead_of_the_reader(server: ScriptedServer) -> None:
    answers = iter(engine_at(server.url, concurrency=2).generate(plain_requests(50)))
    next(answers)  # and it is not yet kept: a kill now would lose what has been asked
    time.sleep(0.5)
    num_asked = server.count()
    assert 2 <= num_asked <= 2 * 2
    assert len(list(answers)) == 49
    assert num_asked + server.count() == 50


def test_closing_the_iterator_leaves_no_request_running(server: ScriptedServer) -> None:
    answers = iter(engine_at(server.url, concurrency=2).generate(plain_requests(50)))
    next(answers)
    del answers
    time.sleep(0.5)  # what it had sent has arrived
    assert server.count() <= 2 * 2
    time.sleep(0.5)
    assert server.count() == 0


@pytest.fixture
def slow_url(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of a host whose DNS lookup takes half a second and then fails."""
    look_up = socket.getaddrinfo

    def slowly(host: str, *rest: Any, **named: Any) -> Any:
        if host == "slow.invalid":
            time.sleep(0.5)
        return look_up(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    return "http://slow.invalid/v1"


def test_closing_the_iterator_during_dns_lookup_raises_nothing(
    server: ScriptedServer, slow_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter(engine_at(server.url, slow_url).generate(plain_requests(50)))
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert caplog.records == []


def test_a_wrong_key_during_dns_lookup_is_the_error(
    server: ScriptedServer, slow_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = lambda _: web.Response(status=401)
    with pytest.raises(ServerRefusedError, match="HTTP 401"):
        list(engine_at(server.url, slow_url).generate(plain_requests(50)))
    assert caplog.records == []


class Ended(BaseException):
    """Raised by the signal handler of these tests."""


@pytest.fixture
def _signals_raise() -> Iterator[None]:
    def handle(*_: object) -> None:
        raise Ended

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.timeout(60)
@pytest.mark.usefixtures("_signals_raise")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_step_of_the_loop_ends_it_and_logs_nothing(
    server: ScriptedServer,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An exception inside the loop would lose a callback that a task waits for."""
    step, main_thread = Handle._run, threading.main_thread().ident
    assert main_thread is not None
    left = 0

    def signalled(handle: Handle) -> None:
        nonlocal left
        left -= asyncio.get_running_loop() is not server.loop
        if left == 0:
            left -= 1
            signal.pthread_kill(main_thread, number)
        step(handle)

    monkeypatch.setattr(Handle, "_run", signalled)
    for steps in range(1, 130, 3):
        left, read = steps, list[Any]()
        with pytest.raises(Ended):
            read.extend(engine_at(server.url, concurrency=4).generate(plain_requests(60)))
        assert len(read) < 60
    gc.collect()
    assert caplog.records == []


@pytest.mark.usefixtures("_signals_raise")
def test_a_signal_while_a_reply_is_parsed_loses_only_requests_in_flight(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any) -> Reply:
        replies.append(parse_body(*arguments))
        if len(replies) == 20:
            signal.raise_signal(signal.SIGINT)
        return replies[-1]

    replies: list[Reply] = []
    monkeypatch.setattr("delta.inference.chat_completions.parse_body", interrupted)
    read: list[Any] = []
    with pytest.raises(Ended):
        read.extend(engine_at(server.url, concurrency=4).generate(plain_requests(50)))
    assert 12 <= len(read) < 50
    time.sleep(0.5)  # what it had sent has arrived
    assert server.count() - len(read) <= 2 * 4
