"""The store is exact: requests that arrive at a real server, counted after every kind of change."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from aiohttp import web

from delta import rubric
from delta.engines import Reply, Request
from delta.engines.endpoint import Endpoint, EndpointError
from delta.engines.settings import EndpointSettings
from delta.generate import GeneratorParams, generate, requests_of
from delta.judge import JudgeParams, LlmParams, Subject, by_llm, first_requests
from delta.replies import Shelf

STATEMENTS = ("1 + 1 = ?", "2 + 2 = ?", "3 + 3 = ?")
GENERATOR = GeneratorParams(
    model="toy", examples=0, samples=2, temperature=0.7, top_p=1.0, max_tokens=16, seed=1
)
JUDGE = JudgeParams(
    rater="llm",
    max_refused=0.0,
    llm=LlmParams(
        model="toy", votes=2, attempts=1, temperature=0.6, top_p=1.0, max_tokens=99, seed=4
    ),
)
Answer = Callable[[dict[str, Any]], web.Response]


def completion(text: str) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}


def answer(payload: dict[str, Any]) -> web.Response:
    """The same text for the same payload; a valid rating where a schema is asked for."""
    if "response_format" not in payload:
        digest = hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
        return web.json_response(completion(digest))
    rating = {"score": 4, "justification": "fine", "deductions_found": []}
    rated: dict[str, dict[str, Any]] = {}
    for dimension in rubric.RUBRIC:
        rated.setdefault(dimension.category, {})[dimension.name] = rating
    return web.json_response(completion(json.dumps(rated)))


def failing(first: int, failure: Callable[[], web.Response]) -> Answer:
    """A server that fails so often and then answers."""
    left = [failure] * first

    def flaky(payload: dict[str, Any]) -> web.Response:
        return left.pop()() if left else answer(payload)

    return flaky


class Server:
    """An OpenAI-compatible server on loopback, in a thread, that keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: Answer = answer
        self.seen: list[dict[str, Any]] = []
        self.url = ""

    async def _handle(self, request: web.Request) -> web.Response:
        payload = await request.json()
        self.seen.append(payload)
        return self.answer(payload)

    def run(self, started: threading.Event, stop: asyncio.Event) -> None:
        async def serve() -> None:
            app = web.Application()
            app.router.add_post("/v1/chat/completions", self._handle)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            self.loop = asyncio.get_running_loop()
            started.set()
            await stop.wait()
            await runner.cleanup()

        asyncio.run(serve())

    def count(self) -> int:
        """Requests since the last count."""
        number = len(self.seen)
        self.seen.clear()
        return number


@contextmanager
def serving() -> Iterator[Server]:
    server, started, stop = Server(), threading.Event(), asyncio.Event()
    thread = threading.Thread(target=server.run, args=(started, stop))
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        server.loop.call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as one:
        yield one


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delta.engines.endpoint.random.uniform", lambda *_: 0.0)


def endpoint(url: str, tries: int = 3, concurrency: int = 4) -> Endpoint:
    settings = EndpointSettings(
        base_url=url, concurrency=concurrency, timeout_s=5.0, tries=tries, revision="r1"
    )
    return Endpoint(settings, "toy")


def problems(*statements: str) -> pl.DataFrame:
    rows = [{"problem_id": f"p.{n}", "statement": text} for n, text in enumerate(statements)]
    return pl.DataFrame(rows)


def traces(
    server: Server, folder: Path, statements: Iterable[str], params: GeneratorParams = GENERATOR
) -> list[str]:
    """What the stage `generate` does, without its files; the texts."""
    engine = endpoint(server.url)
    asked = list(requests_of(params, engine, "weights", problems(*statements)))
    with Shelf(folder) as shelf:
        rows, counts = generate("toy", asked, shelf.remember(engine.ask))
    assert counts["traces"] == len(asked)
    return rows["text"].to_list()


def votes(server: Server, folder: Path, texts: Iterable[str]) -> list[list[int]]:
    engine = endpoint(server.url)
    subjects = [Subject(f"p.{n}/toy/0", "1 + 1 = ?", text) for n, text in enumerate(texts)]
    asked = list(first_requests(JUDGE.llm, engine, "weights", subjects))
    with Shelf(folder) as shelf:
        rows, _ = by_llm(JUDGE, subjects, asked, shelf.remember(engine.ask))
    return rows["votes"].to_list()


def plain(number: int) -> list[Request]:
    prompt = '[{"content":"hello","role":"user"}]'
    return [Request("weights", "endpoint", prompt, 1.0, 1.0, 8, 1, n) for n in range(number)]


@pytest.mark.parametrize(
    ("statements", "params", "requests"),
    [
        pytest.param(STATEMENTS, GENERATOR, 0, id="nothing changed"),
        pytest.param(STATEMENTS[::-1], GENERATOR, 0, id="another order"),
        pytest.param(STATEMENTS[:2], GENERATOR, 0, id="one removed"),
        pytest.param(("1 + 1 = ?", "2 + 9 = ?", "3 + 3 = ?"), GENERATOR, 2, id="one edited"),
        pytest.param((*STATEMENTS, "4 + 4 = ?"), GENERATOR, 2, id="one appended"),
        pytest.param(STATEMENTS, GENERATOR.model_copy(update={"samples": 5}), 9, id="n 2 to 5"),
        pytest.param(STATEMENTS, GENERATOR.model_copy(update={"samples": 1}), 0, id="n 2 to 1"),
        pytest.param(
            STATEMENTS, GENERATOR.model_copy(update={"temperature": 0.8}), 6, id="temperature"
        ),
        pytest.param(STATEMENTS, GENERATOR.model_copy(update={"top_p": 0.9}), 6, id="top_p"),
        pytest.param(STATEMENTS, GENERATOR.model_copy(update={"max_tokens": 17}), 6, id="length"),
        pytest.param(STATEMENTS, GENERATOR.model_copy(update={"seed": 2}), 6, id="seed"),
        pytest.param(STATEMENTS, GENERATOR.model_copy(update={"examples": 1}), 6, id="examples"),
    ],
)
def test_a_change_costs_exactly_its_own_requests(
    server: Server,
    tmp_path: Path,
    statements: tuple[str, ...],
    params: GeneratorParams,
    requests: int,
) -> None:
    before = traces(server, tmp_path, STATEMENTS)
    assert server.count() == 6
    assert len(set(before)) == 6
    after = traces(server, tmp_path, statements, params)
    assert server.count() == requests
    assert traces(server, tmp_path, STATEMENTS) == before
    assert traces(server, tmp_path, statements, params) == after
    assert server.count() == 0


def test_another_rubric_costs_all_ratings_and_no_generation(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = traces(server, tmp_path / "generate", STATEMENTS)
    assert votes(server, tmp_path / "judge", texts) == [[4, 4]] * 30
    assert server.count() == 6 + 12
    votes(server, tmp_path / "judge", texts)
    assert server.count() == 0
    first = rubric.RUBRIC[0]._replace(success="invents nothing")
    monkeypatch.setattr(rubric, "RUBRIC", (first, *rubric.RUBRIC[1:]))
    assert traces(server, tmp_path / "generate", STATEMENTS) == texts
    assert server.count() == 0
    votes(server, tmp_path / "judge", texts)
    assert server.count() == 12


def test_one_new_trace_costs_its_own_votes(server: Server, tmp_path: Path) -> None:
    votes(server, tmp_path, ["1 + 1 = 2"])
    assert server.count() == 2
    votes(server, tmp_path, ["1 + 1 = 2", "1 + 1 = 3"])
    assert server.count() == 2


def test_all_that_shapes_the_reply_reaches_the_server(server: Server) -> None:
    ((_, reply),) = endpoint(server.url).ask(plain(1))
    (payload,) = server.seen
    assert reply._replace(text="") == Reply("", "stop", 3, 4)
    assert payload == {
        "model": "toy",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 1.0,
        "top_p": 1.0,
        "max_tokens": 8,
        "seed": plain(1)[0].sampling_seed(),
    }


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(lambda: web.Response(status=500), id="500"),
        pytest.param(lambda: web.Response(status=429), id="429"),
        pytest.param(lambda: web.Response(text="<html>"), id="no JSON"),
        pytest.param(lambda: web.json_response({"choices": []}), id="no choice"),
        pytest.param(lambda: web.json_response({"choices": None}), id="null for choices"),
        pytest.param(lambda: web.json_response([]), id="a list"),
        pytest.param(lambda: web.json_response(completion("x") | {"usage": None}), id="no usage"),
    ],
)
def test_a_failure_that_passes_is_tried_again_and_one_that_stays_is_an_error(
    server: Server, failure: Callable[[], web.Response]
) -> None:
    server.answer = failing(2, failure)
    assert len(list(endpoint(server.url).ask(plain(1)))) == 1
    assert server.count() == 3
    server.answer = failing(100, failure)
    with pytest.raises(EndpointError, match="after 3 tries"):
        list(endpoint(server.url).ask(plain(1)))
    assert server.count() == 3


def test_a_request_that_is_wrong_is_not_tried_again(server: Server) -> None:
    server.answer = failing(9, lambda: web.Response(status=401, text="no such key"))
    with pytest.raises(EndpointError, match="HTTP 401: no such key"):
        list(endpoint(server.url).ask(plain(1)))
    assert server.count() == 1


def test_a_refused_connection_is_an_error_after_the_tries() -> None:
    with serving() as gone:
        url = gone.url
    with pytest.raises(EndpointError, match=r"ClientConnectorError.*after 3 tries"):
        list(endpoint(url).ask(plain(2)))


def test_what_was_answered_before_the_server_failed_is_kept(server: Server, tmp_path: Path) -> None:
    def dies(payload: dict[str, Any]) -> web.Response:
        return answer(payload) if len(server.seen) <= 5 else web.Response(status=503)

    server.answer = dies
    engine = endpoint(server.url, concurrency=1)
    with Shelf(tmp_path) as shelf, pytest.raises(EndpointError, match="HTTP 503, after 3 tries"):
        list(shelf.remember(engine.ask)(plain(8)))
    assert server.count() == 5 + 3
    server.answer = answer
    with Shelf(tmp_path) as shelf:
        assert len(list(shelf.remember(engine.ask)(plain(8)))) == 8
    assert server.count() == 3


def test_many_short_calls_all_end_well(server: Server) -> None:
    engine = endpoint(server.url)
    assert [len(list(engine.ask(plain(2)))) for _ in range(100)] == [2] * 100
