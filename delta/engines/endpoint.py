"""OpenAI-compatible servers: many requests at once, each reply handed on as it arrives.

Servers are overloaded, restarted and replaced while a stage runs. A request that fails is tried
again with growing pauses, by another server where there are several; one that fails every time is
a Failure, and the others go on.
"""

import asyncio
import os
import random
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson

from delta import protocols
from delta.engines import Failure, Reply, Request, as_json
from delta.engines.settings import EndpointSettings, ServingParams
from delta.records import Message

KEY_VARIABLE = "OPENAI_API_KEY"
TRIED_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)
REFUSED_FOR_GOOD = (400, 413, 422)  # this request alone; any other status concerns all of them
LONGEST_PAUSE_S = 30.0
LONGEST_CONNECT_S = 10.0  # a node that is gone does not even refuse
AVOIDED_S = 5.0  # a server that failed, while there are others
LONGEST_WORD = 200  # characters of what a server says of an error
OUR_ID = "delta-"
Answered = tuple[Request, Reply | Failure]


class EndpointError(RuntimeError):
    """The server will answer no request as it is set up: a key, a path or a name is wrong."""


@dataclass
class _Server:
    """One of those that serve the model, as this process has found it. Times are monotonic."""

    url: str
    under_way: int = 0  # requests that it has not answered yet
    not_before: float = 0.0  # it asked for a pause: all of us wait
    avoided_until: float = 0.0  # it failed: asked only where all have

    def standing(self) -> tuple[float, bool, int]:
        """The smallest is asked next."""
        now = time.monotonic()
        return max(0.0, self.not_before - now), self.avoided_until > now, self.under_way


class Endpoint:
    """An engine that sends chat completions. The servers render the messages."""

    def __init__(self, settings: EndpointSettings, serving: ServingParams, model: str) -> None:
        self.settings = settings
        self.model = model
        self.protocol = protocols.load(serving.protocol)
        self.name = f"endpoint {settings.revision}"
        self._arguments = self.protocol.template_arguments()
        self._servers = [_Server(url.rstrip("/")) for url in settings.base_urls]

    def render(self, messages: list[Message]) -> str:
        """The messages and the template's arguments as JSON; the server's template writes the day.

        A vLLM server takes it from VLLM_SYSTEM_START_DATE, so that it can be pinned there.
        """
        return as_json({"messages": messages, "chat_template_kwargs": self._arguments})

    def num_tokens(self, text: str) -> int | None:  # noqa: ARG002 - the server has the tokenizer
        return None

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Reply | Failure]]:
        """The loop runs in this thread, only while the next reply is waited for. Whoever asks
        for the next one has kept the last, so that a kill loses what is under way and the replies
        of one turn of the loop, at most twice `concurrency`, however slowly they are read. But a
        reader that takes longer than `timeout_s` for one finds the others that were under way
        timed out, and they are tried again.
        """
        arrived: deque[Answered | Exception] = deque()
        with asyncio.Runner() as runner:  # ends what is under way when nobody asks any more
            loop = runner.get_loop()

            def look(_: object = None) -> None:
                if not work.cancelling():  # else the runner is ending it, and must not be stopped
                    loop.stop()

            work = loop.create_task(self._ask_all(list(requests), arrived, look))
            work.add_done_callback(look)
            while not work.done():
                _run(loop, look)  # to the end of a turn in which something arrived
                while arrived:
                    one = arrived.popleft()
                    if isinstance(one, Exception):
                        raise one
                    yield one
            work.result()

    async def _ask_all(
        self,
        requests: list[Request],
        arrived: deque[Answered | Exception],
        look: Callable[[], None],
    ) -> None:
        headers = {}
        if token := os.environ.get(KEY_VARIABLE):
            headers["Authorization"] = f"Bearer {token}"
        waiting = iter(requests)
        timeout = aiohttp.ClientTimeout(
            total=self.settings.timeout_s, sock_connect=LONGEST_CONNECT_S
        )
        connector = aiohttp.TCPConnector(limit=self.settings.concurrency)
        async with aiohttp.ClientSession(
            headers=headers, timeout=timeout, connector=connector
        ) as session:

            async def worker() -> None:
                one: Answered | Exception
                for request in waiting:
                    try:
                        one = request, await self._ask_one(session, request)
                    except Exception as error:  # noqa: BLE001 - the reader raises it in its place
                        one = error
                    arrived.append(one)
                    look()
                    if isinstance(one, Exception):
                        return

            async with asyncio.TaskGroup() as group:
                for _ in range(self.settings.concurrency):
                    group.create_task(worker())

    async def _ask_one(self, session: aiohttp.ClientSession, request: Request) -> Reply | Failure:
        problem = ""
        for attempt in range(self.settings.tries):
            if attempt:
                await asyncio.sleep(pause_s(attempt))
            server = min(self._servers, key=_Server.standing)
            server.under_way += 1  # also while it rests: others go elsewhere
            try:
                if (rest := server.not_before - time.monotonic()) > 0:
                    await asyncio.sleep(rest)
                found = await self._try_once(session, server, request)
            except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if not isinstance(found, str):
                    return found
                problem = found
            finally:
                server.under_way -= 1
            server.avoided_until = time.monotonic() + AVOIDED_S
        return Failure(f"{problem}, after {self.settings.tries} tries")

    async def _try_once(
        self, session: aiohttp.ClientSession, server: _Server, request: Request
    ) -> Reply | Failure | str:
        """The reply; a Failure where trying again is in vain; or what was wrong this time."""
        url = server.url + "/chat/completions"
        # vLLM makes it part of the reply's id; to other servers it is a header like any other.
        headers = {"X-Request-Id": OUR_ID + request.key(), "Content-Type": "application/json"}
        body = orjson.dumps(self._payload(request))
        async with session.post(url, data=body, headers=headers) as response:
            status = f"HTTP {response.status}"
            if response.status in TRIED_AGAIN:
                asked_for = wanted_pause_s(response.headers.get("Retry-After"))
                pause = min(asked_for, self.settings.timeout_s)
                server.not_before = max(server.not_before, time.monotonic() + pause)
                return status
            if response.status in REFUSED_FOR_GOOD:
                return Failure(f"{status}: {await _said(response)}")
            if response.status != 200:
                raise EndpointError(f"{url}: {status}: {await _said(response)}")
            return _reply(await response.json(loads=orjson.loads), request)

    def _payload(self, request: Request) -> dict[str, Any]:
        asked = orjson.loads(request.prompt)
        payload: dict[str, Any] = {
            "model": self.model,
            "messages": asked["messages"],
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": request.max_tokens,
            "seed": request.sampling_seed(),
        }
        # Only what is asked for: servers other than vLLM refuse fields that they do not know.
        if request.stop:
            payload["stop"] = list(request.stop)
        if request.keep_special_tokens:
            payload["skip_special_tokens"] = False
        if arguments := asked["chat_template_kwargs"]:
            payload |= {"chat_template_kwargs": arguments} | arguments
        if request.schema is not None:
            schema = {"name": "reply", "schema": orjson.loads(request.schema), "strict": True}
            payload["response_format"] = {"type": "json_schema", "json_schema": schema}
        return payload


def _run(loop: asyncio.AbstractEventLoop, look: Callable[[], None]) -> None:
    """Until the loop is stopped. A signal is handled then and not before: what its handler raises
    amid the loop's own code loses a callback, and whoever waits for that waits forever.
    """
    if threading.current_thread() is not threading.main_thread():
        loop.run_forever()  # signals are handled elsewhere
        return
    came: list[int] = []

    def note(number: int, _: object) -> None:
        came.append(number)
        loop.call_soon_threadsafe(look)

    found = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    handlers = {int(number): handler for number, handler in found if callable(handler)}
    try:
        for number in handlers:
            signal.signal(number, note)
        loop.run_forever()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for number in came:
        handlers[number](number, None)


async def _said(response: aiohttp.ClientResponse) -> str:
    """The start of what the server said of an error. Some repeat the key that they do not like."""
    text = await response.text()
    if token := os.environ.get(KEY_VARIABLE):
        text = text.replace(token, f"${KEY_VARIABLE}")
    return text[:LONGEST_WORD]


def pause_s(attempt: int) -> float:
    """Before the try of this number: none, then from half a second on twice as long each time.

    Half of it is chance, so that a fleet of workers does not come back in step; the other half is
    certain, so that ten tries outlast a server that is away for a minute.
    """
    if attempt == 0:
        return 0.0
    longest = min(LONGEST_PAUSE_S, 2.0 ** (attempt - 1))
    return longest / 2 + random.uniform(0, longest / 2)


def wanted_pause_s(retry_after: str | None) -> float:
    """What a Retry-After header asks for, in seconds or as a date; 0 where it asks for nothing."""
    if retry_after is None:
        return 0.0
    try:
        return max(0.0, float(int(retry_after)))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, (when.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _reply(body: Any, request: Request) -> Reply:
    """The first choice. KeyError, TypeError or ValueError where the body is not a chat reply, or
    is one to another of our requests.

    No text, or an end such as `content_filter`, is an answer too: the server refused, and would
    again. It is kept and counted, and never becomes a number.
    """
    if not isinstance(body, dict):
        raise TypeError(f"the body is {type(body).__name__}, allowed: a JSON object")
    given = str(body.get("id")).rpartition(OUR_ID)  # vLLM's: chatcmpl-, and what we sent
    if given[1] and not given[2].startswith(request.key()):
        raise ValueError(f"the reply is to another request: {given[2]}")
    choice = body["choices"][0]
    message = choice["message"]
    text, finish_reason = message["content"], choice["finish_reason"]
    # Servers with a reasoning parser take it out of the text, under one of two names.
    reasoning = message.get("reasoning") or message.get("reasoning_content")
    if text is None and reasoning is not None and finish_reason == "length":
        text = ""  # cut while it reasoned
    if finish_reason not in ("stop", "length") or text is None:
        text, finish_reason, reasoning = "", "refused", None
    for part in (text, reasoning or ""):
        if not isinstance(part, str):
            raise TypeError(f"content is {type(part).__name__}, allowed: text")
    usage = body["usage"]
    return Reply(text, finish_reason, usage["prompt_tokens"], usage["completion_tokens"], reasoning)
