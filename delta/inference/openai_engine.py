"""OpenAI-compatible servers: many requests are in flight, and replies are yielded as they arrive.

Servers are overloaded, restarted and replaced while a stage runs. A request that fails is retried
with growing pauses, by another server where there are several. A request whose attempts all fail
becomes a Failure, and the others go on.
"""

import asyncio
import contextlib
import random
import re
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from queue import SimpleQueue
from typing import Any

import aiohttp
import orjson

from delta.core.errors import IncompleteError
from delta.core.schemas import Message
from delta.inference import chat_completions, chat_formats
from delta.inference.chat_completions import COMPLETIONS_PATH, REQUEST_ID_PREFIX, FailedAttemptError
from delta.inference.config import ServerParams, Serving
from delta.inference.failures import MAX_SCANNED_CHARS, make_failure, safe_line
from delta.inference.types import Failure, Reply, Request, RequestResult, canonical_json
from delta.prompts import control_tokens

RETRIED_STATUSES = (408, 409, 425, 429)
UNSERVED_STATUSES = (501, 505)  # all other 5xx are retried, also 520, 524, 529 of clouds
REFUSED_STATUSES = (400, 413, 422)  # of this request only; any other status concerns all
MAX_BACKOFF_S = 30.0
MAX_CONNECT_S = 10.0  # a node that is down does not even refuse
AVOIDED_S = 5.0  # how long an address is avoided after a failure, if there are others
MAX_ERROR_BODY_S = 10.0  # to read the body of an error
MAX_RETRY_AFTER_S = 1e9
JSON_TYPE = re.compile(r"application/(?:[\w.+-]+\+)?json")
ResultQueue = SimpleQueue[RequestResult | Exception | None]  # None: the end


class ServerRefusedError(IncompleteError):
    """The server will answer no request, since a key, a path or a name is wrong."""


@dataclass
class _Address:
    """The state of one of a server's addresses as this process knows it. Times are monotonic."""

    url: str
    in_flight: int = 0
    not_before: float = 0.0  # end of the pause that the server asked for
    avoided_until: float = 0.0  # it failed, and is used only if all addresses have failed

    def priority(self) -> tuple[float, bool, int]:
        """Return the sort key of addresses. The smallest gets the next request."""
        now = time.monotonic()
        return max(0.0, self.not_before - now), self.avoided_until > now, self.in_flight


class OpenAIEngine:
    """An engine that sends chat completions. The servers render the messages."""

    def __init__(self, settings: ServerParams, serving: Serving, model: str) -> None:
        assert serving.server is not None  # delta.inference.engine checks it
        self.settings = settings
        self.model = model  # its name at the server
        self.chat_format = chat_formats.load(serving.chat_format)
        self.accepts = serving.server.accepts
        fields = "" if self.accepts == "vllm" else f" {','.join(sorted(self.accepts))}"
        # "endpoint" is a part of the keys of all cached replies.
        self.name = f"endpoint {serving.server.revision}{fields}"
        self._arguments = self.chat_format.template_arguments()
        self._addresses = [_Address(url.rstrip("/")) for url in settings.base_urls]

    def render(self, messages: list[Message]) -> str:
        """Return the messages and the template's arguments as JSON.

        The server's template writes today's date. A vLLM server reads it from
        VLLM_SYSTEM_START_DATE, so that it can be pinned there.
        """
        escaped = [
            message | {"content": control_tokens.escape_all_families(message["content"])}
            for message in messages
        ]
        return canonical_json({"messages": escaped, "chat_template_kwargs": self._arguments})

    def num_tokens(self, text: str) -> int | None:  # noqa: ARG002 - as in Engine
        """Return None, since only the server has the tokenizer."""
        return None

    def generate(self, requests: Iterable[Request]) -> Iterator[RequestResult]:
        """Yield each request with its reply or failure, in the order in which they finish.

        The event loop runs in a thread, so that signals interrupt the reader and not the loop. At
        most twice `concurrency` requests are in flight, or answered and not yet read, so a kill
        loses no more. Raises InputError where the key is missing, and ServerRefusedError.
        """
        key = self.settings.api_key()
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        results: ResultQueue = SimpleQueue()
        unread = asyncio.Semaphore(2 * self.settings.concurrency)

        async def send_all() -> None:
            try:
                await self._send_all(list(requests), headers, results, unread)
            except* Exception as errors:  # noqa: BLE001 - raised in the thread that reads
                results.put(errors.exceptions[0])
            results.put(None)

        with _event_loop_thread() as loop:
            asyncio.run_coroutine_threadsafe(send_all(), loop)
            while (result := results.get()) is not None:
                if isinstance(result, Exception):
                    raise result
                yield result
                loop.call_soon_threadsafe(unread.release)

    async def _send_all(
        self,
        requests: list[Request],
        headers: dict[str, str],
        results: ResultQueue,
        unread: asyncio.Semaphore,
    ) -> None:
        queue = iter(requests)
        timeout = aiohttp.ClientTimeout(total=self.settings.timeout_s, sock_connect=MAX_CONNECT_S)
        async with aiohttp.ClientSession(
            headers=headers,
            timeout=timeout,
            connector=aiohttp.TCPConnector(limit=self.settings.concurrency),
            cookie_jar=aiohttp.DummyCookieJar(),  # cookies would make every request longer
        ) as session:

            async def worker() -> None:
                for request in queue:
                    await unread.acquire()
                    results.put((request, await self._ask_one(session, request)))

            async with asyncio.TaskGroup() as workers:
                for _ in range(min(self.settings.concurrency, len(requests))):
                    workers.create_task(worker())

    async def _ask_one(self, session: aiohttp.ClientSession, request: Request) -> Reply | Failure:
        problem = FailedAttemptError("")
        attempts = self.settings.max_retries + 1
        for attempt in range(attempts):
            if attempt:
                await asyncio.sleep(backoff_s(attempt))
            address = min(self._addresses, key=_Address.priority)
            address.in_flight += 1  # also in a pause, so that other requests avoid it
            try:
                if (pause := address.not_before - time.monotonic()) > 0:
                    await asyncio.sleep(pause)
                return await self._try_once(session, address, request)
            except FailedAttemptError as error:
                problem = error
            except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
                message = f"{type(error).__name__}: {error}"
                problem = FailedAttemptError(_failure_kind(error), message)
            finally:
                address.in_flight -= 1
            address.avoided_until = time.monotonic() + AVOIDED_S
        return make_failure(problem.kind, problem.message, attempts)

    async def _try_once(
        self, session: aiohttp.ClientSession, address: _Address, request: Request
    ) -> Reply | Failure:
        """Return the reply, or a Failure where another attempt would fail too.

        Raises FailedAttemptError, or an error that `_failure_kind` knows, where another attempt may
        succeed; ServerRefusedError where no request will.
        """
        url = address.url + COMPLETIONS_PATH
        # vLLM makes the id part of the reply's; other servers ignore the header.
        headers = {
            "X-Request-Id": REQUEST_ID_PREFIX + request.key(),
            "Content-Type": "application/json",
        }
        body = orjson.dumps(chat_completions.request_body(request, self.model, self.accepts))
        # A redirect would send prompt and key to an unknown address.
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            status = f"HTTP {response.status}"
            if _is_transient(response.status):
                pause = parse_retry_after(response.headers.get("Retry-After"))
                until = time.monotonic() + min(pause, self.settings.timeout_s)
                address.not_before = max(address.not_before, until)
                raise FailedAttemptError(status, await _error_message(response))
            if response.status in REFUSED_STATUSES:
                return make_failure(status, await _error_message(response))
            if response.status != 200:
                message = await _error_message(response)
                raise ServerRefusedError(safe_line(f"{url}: {status}: {message}"))
            content = await _read_json(response, chat_completions.max_body_bytes(request))
            return chat_completions.parse_body(content, request)


@contextlib.contextmanager
def _event_loop_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread. On exit, cancel its tasks."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        try:
            thread.start()
            yield loop
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


def _is_transient(status: int) -> bool:
    """Return whether a later attempt may get another status."""
    return status in RETRIED_STATUSES or (500 <= status < 600 and status not in UNSERVED_STATUSES)


def _failure_kind(error: Exception) -> str:
    """Return the class that metrics count the error of an attempt under."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientError) and not isinstance(
        error, aiohttp.ClientResponseError
    ):
        return "connection"
    return "invalid reply"


async def _read_json(response: aiohttp.ClientResponse, max_bytes: int) -> Any:
    """Return the parsed body. Raises FailedAttemptError where it unpacks to over `max_bytes`."""
    if not JSON_TYPE.fullmatch(response.content_type):
        raise ValueError(f"the body is {response.content_type}, expected application/json")
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > max_bytes:
            response.close()
            raise FailedAttemptError("too large", f"the body has more than {max_bytes} bytes")
    return orjson.loads(body)


async def _error_message(response: aiohttp.ClientResponse) -> str:
    """Return the start of an error's body, or the target of a redirect."""
    body = b""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, ValueError):
        async with asyncio.timeout(MAX_ERROR_BODY_S):
            while len(body) < MAX_SCANNED_CHARS and (chunk := await response.content.readany()):
                body += chunk
    response.close()
    if 300 <= response.status < 400:
        target = response.headers.get("Location", "nowhere")
        return f"redirects are not followed; if this is right, name it in base_urls: {target}"
    return body.decode(errors="replace")


def backoff_s(attempt: int) -> float:
    """Return the pause before a retry: up to one second before the first, doubled each time.

    Half of each pause is random, so that many workers do not retry at the same time. The other half
    is fixed, so that ten attempts outlast a server that is down for a minute.
    """
    maximum = min(MAX_BACKOFF_S, 2.0 ** (attempt - 1))
    return maximum / 2 + random.uniform(0, maximum / 2)


def parse_retry_after(header: str | None) -> float:
    """Return the seconds of a Retry-After header, a number or a date; 0 for anything else."""
    if header is None:
        return 0.0
    if re.fullmatch(r"\d+", header.strip(), re.ASCII):
        return min(float(header), MAX_RETRY_AFTER_S)
    try:
        when = parsedate_to_datetime(header).astimezone(UTC)
    except (ValueError, OverflowError, TypeError, LookupError):  # no date, or an impossible one
        return 0.0
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
