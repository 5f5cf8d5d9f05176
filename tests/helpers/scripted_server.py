"""An OpenAI-compatible server on loopback that replies or fails as a test tells it."""

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from delta.inference.chat_completions import Accepts
from delta.inference.config import ServerModelParams, ServerParams
from delta.inference.openai_engine import OpenAIEngine
from delta.inference.types import Request, canonical_json
from tests.helpers.engine_settings import SERVING
from tests.helpers.judge_replies import constant_reply

Answer = Callable[[dict[str, Any]], web.Response]
Raw = Callable[[web.Request], Awaitable[web.StreamResponse]]


def completion(text: str) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}


def answer(payload: dict[str, Any]) -> web.Response:
    """Return equal texts for equal payloads, or a valid rating if a schema is requested."""
    if "response_format" not in payload:
        digest = hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()
        return web.json_response(completion(digest))
    return web.json_response(completion(constant_reply(4, "fine", [])))


def fail_first(first: int, failure: Callable[[], web.Response]) -> Answer:
    """Return an answer function that fails `first` times."""
    left = [failure] * first

    def flaky(payload: dict[str, Any]) -> web.Response:
        return left.pop()() if left else answer(payload)

    return flaky


class ScriptedServer:
    """An OpenAI-compatible server on loopback, in a thread, that keeps its requests."""

    def __init__(self) -> None:
        self.answer: Answer = answer
        self.raw: Raw | None = None  # takes the whole request instead of `answer`
        self.seen: list[dict[str, Any]] = []
        self.arrived: list[float] = []  # monotonic seconds, parallel to `seen`
        self.url = ""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        payload = await request.json()
        self.seen.append(payload)
        self.arrived.append(time.monotonic())
        return self.answer(payload) if self.raw is None else await self.raw(request)

    def run(self, port: int, started: threading.Event, stop: asyncio.Event) -> None:
        async def serve() -> None:
            app = web.Application()
            app.router.add_post("/v1/chat/completions", self._handle)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            self.loop = asyncio.get_running_loop()
            started.set()
            await stop.wait()
            await runner.cleanup()

        asyncio.run(serve())

    def count(self) -> int:
        """Return the number of requests since the last call."""
        number = len(self.seen)
        self.seen.clear()
        self.arrived.clear()
        return number


@contextmanager
def run_server(port: int = 0) -> Iterator[ScriptedServer]:
    server, started, stop = ScriptedServer(), threading.Event(), asyncio.Event()
    thread = threading.Thread(target=server.run, args=(port, started, stop))
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        server.loop.call_soon_threadsafe(stop.set)
        thread.join()


def engine_at(
    *urls: str,
    max_retries: int = 2,
    concurrency: int = 4,
    chat_format: str = "plain",
    timeout_s: float = 5.0,
    accepts: Accepts = "vllm",
    key: str | None = None,
) -> OpenAIEngine:
    settings = ServerParams(
        base_urls=list(urls),
        key=key,
        models={"toy": None},
        concurrency=concurrency,
        timeout_s=timeout_s,
        max_retries=max_retries,
    )
    server = ServerModelParams(revision="r1", accepts=accepts)
    serving = SERVING.model_copy(update={"chat_format": chat_format, "server": server})
    return OpenAIEngine(settings, serving, "toy")


def plain_requests(number: int) -> list[Request]:
    messages = [{"content": "hello", "role": "user"}]
    prompt = canonical_json({"messages": messages, "chat_template_kwargs": {}})
    return [Request("weights", "endpoint", prompt, 1.0, 1.0, 8, 1, n) for n in range(number)]
