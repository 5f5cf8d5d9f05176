"""An OpenAI-compatible server on loopback that answers by rule and counts what it is asked."""

import asyncio
import hashlib
import json
import threading
from collections import Counter
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from delta import rubric


class Server:
    """Answers the same request always alike. `asked` counts each request by its whole content."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.asked: Counter[str] = Counter()
        self.answered = 0
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._loop.run_forever()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._port = runner.addresses[0][1]
        self._ready.set()

    async def _answer(self, request: web.Request) -> web.Response:
        payload = await request.json()
        content = json.dumps(payload, sort_keys=True)
        self.asked[content] += 1
        await asyncio.sleep(self.delay_s)
        self.answered += 1
        return web.json_response(reply_to(payload, content))


def reply_to(payload: dict[str, Any], content: str) -> dict[str, Any]:
    number = int(hashlib.sha256(content.encode()).hexdigest()[:8], 16)
    if "response_format" in payload:
        text = json.dumps(rating(number))
    else:
        text = f"2 * {number % 7} = {2 * (number % 7)}. The answer is \\boxed{{{number % 40}}}."
    usage = {"prompt_tokens": 10, "completion_tokens": 20}
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": usage}


def rating(number: int) -> dict[str, Any]:
    """A valid reply of a judge, its scores drawn from the digits of `number`."""
    reply: dict[str, dict[str, Any]] = {}
    for place, dimension in enumerate(rubric.RUBRIC):
        score = 1 + (number >> (3 * place)) % 5
        reply.setdefault(dimension.category, {})[dimension.name] = {
            "score": score,
            "justification": "By rule.",
            "deductions_found": [],
        }
    return reply
