"""An OpenAI-compatible server: many requests at once, each reply handed on as it arrives."""

import asyncio
import json
import os
import queue
import random
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import aiohttp

from delta.engines import Reply, Request, as_json
from delta.engines.settings import EndpointSettings
from delta.records import FINISH_REASONS, Message

KEY_VARIABLE = "OPENAI_API_KEY"
RETRIED = (408, 409, 425, 429, 500, 502, 503, 504)


class EndpointError(RuntimeError):
    """The server gave no usable answer within the allowed number of tries."""


class Endpoint:
    """An engine that sends chat completions. The server renders the messages."""

    def __init__(self, settings: EndpointSettings, model: str) -> None:
        self.settings = settings
        self.model = model
        self.name = f"endpoint {settings.revision}"

    def render(self, messages: list[Message]) -> str:
        return as_json(messages)

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Reply]]:
        """Requests run on a loop in a thread of its own; replies come back through a queue."""
        arrived: queue.Queue[tuple[Request, Reply] | BaseException | None] = queue.Queue()
        loop = asyncio.new_event_loop()
        work = loop.create_task(self._ask_all(list(requests), arrived))
        thread = threading.Thread(target=_drive, args=(loop, work, arrived), daemon=True)
        thread.start()
        try:
            while (item := arrived.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            loop.call_soon_threadsafe(work.cancel)
            thread.join()
            loop.close()

    async def _ask_all(self, requests: list[Request], arrived: "queue.Queue[Any]") -> None:
        headers = {}
        if token := os.environ.get(KEY_VARIABLE):
            headers["Authorization"] = f"Bearer {token}"
        waiting = iter(requests)
        timeout = aiohttp.ClientTimeout(total=self.settings.timeout_s)
        connector = aiohttp.TCPConnector(limit=self.settings.concurrency)
        async with aiohttp.ClientSession(
            headers=headers, timeout=timeout, connector=connector
        ) as session:

            async def worker() -> None:
                for request in waiting:
                    arrived.put((request, await self._ask_one(session, request)))

            async with asyncio.TaskGroup() as group:
                for _ in range(self.settings.concurrency):
                    group.create_task(worker())

    async def _ask_one(self, session: aiohttp.ClientSession, request: Request) -> Reply:
        url = self.settings.base_url.rstrip("/") + "/chat/completions"
        problem = "no try was made"
        for attempt in range(self.settings.tries):
            if attempt:
                # Full jitter: a fleet of workers must not come back in step.
                await asyncio.sleep(random.uniform(0, min(30, 0.5 * 2**attempt)))
            try:
                async with session.post(url, json=self._payload(request)) as response:
                    if response.status in RETRIED:
                        problem = f"HTTP {response.status}"
                        continue
                    if response.status != 200:
                        text = (await response.text())[:200]
                        raise EndpointError(f"{url}: HTTP {response.status}: {text}")
                    return _reply(await response.json())
            except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
                problem = f"{type(error).__name__}: {error}"
        raise EndpointError(f"{url}: {problem}, after {self.settings.tries} tries")

    def _payload(self, request: Request) -> dict[str, Any]:
        payload: dict[str, Any] = {
            "model": self.model,
            "messages": json.loads(request.prompt),
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": request.max_tokens,
            "seed": request.sampling_seed(),
        }
        if request.schema is not None:
            schema = {"name": "reply", "schema": json.loads(request.schema), "strict": True}
            payload["response_format"] = {"type": "json_schema", "json_schema": schema}
        return payload


def _drive(
    loop: asyncio.AbstractEventLoop, work: "asyncio.Task[None]", arrived: "queue.Queue[Any]"
) -> None:
    try:
        loop.run_until_complete(work)
        arrived.put(None)
    except BaseExceptionGroup as group:
        arrived.put(group.exceptions[0])
    except BaseException as error:  # noqa: BLE001 - raised again where replies are read
        arrived.put(error)


def _reply(body: Any) -> Reply:
    """The first choice. KeyError, TypeError or ValueError where the body is not a chat reply.

    No text, or an end such as `content_filter`, is an answer too: the server refused, and would
    again. It is kept and counted, and never becomes a number.
    """
    choice = body["choices"][0]
    text, finish_reason = choice["message"]["content"], choice["finish_reason"]
    if finish_reason not in FINISH_REASONS or text is None:
        text, finish_reason = "", "refused"
    text.encode()  # half a surrogate pair (a UnicodeEncodeError, so a ValueError) fits no table
    return Reply(
        text, finish_reason, body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]
    )
