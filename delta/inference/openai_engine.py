"""OpenAI-compatible servers: many requests at once, each reply handed on as it arrives.

Servers are overloaded, restarted and replaced while a stage runs. A request that fails is tried
again with growing pauses, by another server where there are several; one that fails every time is
a Failure, and the others go on.
"""

import asyncio
import contextlib
import random
import re
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

from delta.core.errors import IncompleteError
from delta.core.schemas import Message
from delta.inference import chat_formats, completions
from delta.inference.completions import OUR_ID, FailedTryError
from delta.inference.engine import (
    PATH,
    EndpointSettings,
    ServedParams,
    ServerSettings,
    ServingParams,
)
from delta.inference.failures import LONGEST_READ, failure, safe_line
from delta.inference.fields import as_accepted, engine_name
from delta.inference.types import Failure, Reply, Request, as_json
from delta.prompts import control_tokens

TRIED_AGAIN = (408, 409, 425, 429)
NEVER_SERVED = (501, 505)  # of the 5xx, which proxies and clouds add to: 520, 524, 529
REFUSED_FOR_GOOD = (400, 413, 422)  # this request alone; any other status concerns all of them
LONGEST_PAUSE_S = 30.0
LONGEST_CONNECT_S = 10.0  # a node that is gone does not even refuse
AVOIDED_S = 5.0  # a server that failed, while there are others
LONGEST_ERROR_S = 10.0  # for what a server says of an error; the status alone will do
LONGEST_ASKED_PAUSE_S = 10**9
JSON_TYPE = re.compile(r"application/(?:[\w.+-]+\+)?json")
Answered = tuple[Request, Reply | Failure]


class EndpointError(IncompleteError):
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


class OpenAIEngine:
    """An engine that sends chat completions. The servers render the messages."""

    def __init__(
        self,
        settings: EndpointSettings,
        server: ServerSettings,
        serving: ServingParams | ServedParams,
        model: str,
    ) -> None:
        assert serving.endpoint is not None  # else no server is asked
        self.settings = settings
        self.server = server
        self.model = model  # the name that the server knows it by
        self.chat_format = chat_formats.load(serving.chat_format)
        self.accepts = serving.endpoint.accepts
        self.name = engine_name(serving.endpoint.revision, self.accepts)
        self._arguments = self.chat_format.template_arguments()
        self._servers = [_Server(url.rstrip("/")) for url in server.base_urls]

    def render(self, messages: list[Message]) -> str:
        """The messages and the template's arguments as JSON; the server's template writes the day.

        A vLLM server takes it from VLLM_SYSTEM_START_DATE, so that it can be pinned there.
        """
        harmless = [
            message | {"content": control_tokens.escape_all_families(message["content"])}
            for message in messages
        ]
        return as_json({"messages": harmless, "chat_template_kwargs": self._arguments})

    def num_tokens(self, text: str) -> int | None:  # noqa: ARG002 - the server has the tokenizer
        return None

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Reply | Failure]]:
        """The loop runs in this thread, only while the next reply is waited for. Whoever asks
        for the next one has kept the last, so that a kill loses what is under way and the replies
        of one turn of the loop, at most twice `concurrency`, however slowly they are read. But a
        reader that takes longer than `timeout_s` for one finds the others that were under way
        timed out, and they are tried again. Raises InputError where the key is missing.
        """
        token = self.server.token()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        arrived: deque[Answered | Exception] = deque()
        with asyncio.Runner() as runner:  # ends what is under way when nobody asks any more
            loop = runner.get_loop()

            def look(_: object = None) -> None:
                if not work.cancelling():  # else the runner is ending it, and must not be stopped
                    loop.stop()

            work = loop.create_task(self._ask_all(list(requests), headers, arrived, look))
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
        headers: dict[str, str],
        arrived: deque[Answered | Exception],
        look: Callable[[], None],
    ) -> None:
        waiting = iter(requests)
        timeout = aiohttp.ClientTimeout(
            total=self.settings.timeout_s, sock_connect=LONGEST_CONNECT_S
        )
        connector = aiohttp.TCPConnector(limit=self.server.concurrency)
        # A server that set cookies would make every further request longer.
        no_cookies = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(
            headers=headers, timeout=timeout, connector=connector, cookie_jar=no_cookies
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
                for _ in range(min(self.server.concurrency, len(requests))):
                    group.create_task(worker())

    async def _ask_one(self, session: aiohttp.ClientSession, request: Request) -> Reply | Failure:
        problem = FailedTryError("")
        for attempt in range(self.settings.max_retries + 1):
            if attempt:
                await asyncio.sleep(pause_s(attempt))
            server = min(self._servers, key=_Server.standing)
            server.under_way += 1  # also while it rests: others go elsewhere
            try:
                if (rest := server.not_before - time.monotonic()) > 0:
                    await asyncio.sleep(rest)
                return await self._try_once(session, server, request)
            except FailedTryError as error:
                problem = error
            except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
                problem = FailedTryError(_kind(error), f"{type(error).__name__}: {error}")
            finally:
                server.under_way -= 1
            server.avoided_until = time.monotonic() + AVOIDED_S
        return failure(problem.kind, problem.said, self.settings.max_retries + 1)

    async def _try_once(
        self, session: aiohttp.ClientSession, server: _Server, request: Request
    ) -> Reply | Failure:
        """Return the reply, or a Failure where trying again is in vain.

        Raises FailedTryError, or what `_kind` knows, where this try failed, EndpointError where
        every other one would too.
        """
        url = server.url + PATH
        # vLLM makes it part of the reply's id; to other servers it is a header like any other.
        headers = {"X-Request-Id": OUR_ID + request.key(), "Content-Type": "application/json"}
        body = orjson.dumps(as_accepted(completions.payload(request, self.model), self.accepts))
        # A redirect would hand the prompt, and the key with it, to whomever it names.
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            status = f"HTTP {response.status}"
            if _is_passing(response.status):
                self._let_rest(server, response)
                raise FailedTryError(status, await _said(response))
            if response.status in REFUSED_FOR_GOOD:
                return failure(status, await _said(response))
            if response.status != 200:
                raise EndpointError(safe_line(f"{url}: {status}: {await _said(response)}"))
            body_of_reply = await _json(response, completions.most_bytes(request))
            return completions.parse(body_of_reply, request)

    def _let_rest(self, server: _Server, response: aiohttp.ClientResponse) -> None:
        """Let all wait as long as the server says."""
        asked_for = wanted_pause_s(response.headers.get("Retry-After"))
        pause = min(asked_for, self.settings.timeout_s)
        server.not_before = max(server.not_before, time.monotonic() + pause)


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


def _is_passing(status: int) -> bool:
    """Return whether a server that answers so may answer otherwise a little later."""
    return status in TRIED_AGAIN or (500 <= status < 600 and status not in NEVER_SERVED)


def _kind(error: Exception) -> str:
    """Return the class that metrics count what went wrong in a try under."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientError) and not isinstance(
        error, aiohttp.ClientResponseError
    ):
        return "connection"
    return "invalid reply"


async def _json(response: aiohttp.ClientResponse, most: int) -> Any:
    """Return the body as JSON. FailedTryError where it has more than `most` bytes, unpacked."""
    if not JSON_TYPE.fullmatch(response.content_type):
        raise ValueError(f"the body is {response.content_type}, expected application/json")
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > most:
            response.close()
            raise FailedTryError("too large", f"the body has more than {most} bytes")
    return orjson.loads(body)


async def _said(response: aiohttp.ClientResponse) -> str:
    """Return the start of what the server said of an error, and where it would send us."""
    said = b""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
        async with asyncio.timeout(LONGEST_ERROR_S):
            while len(said) < LONGEST_READ and (chunk := await response.content.readany()):
                said += chunk
    response.close()
    if 300 <= response.status < 400:
        where = response.headers.get("Location", "nowhere")
        return f"redirects are not followed; if this is right, name it in base_urls: {where}"
    return said.decode(errors="replace")


def pause_s(attempt: int) -> float:
    """Before the try of this number: none, then from half a second on twice as long each time.

    Half of it is chance, so that a fleet of workers does not come back in step; the other half is
    certain, so that ten attempts outlast a server that is away for a minute.
    """
    if attempt == 0:
        return 0.0
    longest = min(LONGEST_PAUSE_S, 2.0 ** (attempt - 1))
    return longest / 2 + random.uniform(0, longest / 2)


def wanted_pause_s(retry_after: str | None) -> float:
    """Return what a Retry-After header asks for, in seconds or as a date; 0 for anything else."""
    if retry_after is None:
        return 0.0
    if re.fullmatch(r"\d+", retry_after.strip(), re.ASCII):
        digits = retry_after.strip().lstrip("0")
        return float(digits or 0) if len(digits) < 10 else float(LONGEST_ASKED_PAUSE_S)
    try:
        when = parsedate_to_datetime(retry_after).astimezone(UTC)
    except (ValueError, OverflowError, TypeError, LookupError):  # no date, or none of the calendar
        return 0.0
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
