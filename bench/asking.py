"""Requests a second through our engine and store against a bare aiohttp loop.

    make bench NAME=asking

A server in a process of its own answers at once. Ours renders, hashes, sends, checks and writes
every reply to the store before it looks at the next; the bare loop posts prepared bodies and reads
JSON. Both get the same 2,000 texts.
"""

import asyncio
import multiprocessing
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bench import results
from delta.engines import Reply, Request
from delta.engines.endpoint import Endpoint
from delta.engines.settings import EndpointSettings, ServingParams
from delta.replies import Shelf

REQUESTS = 2_000
CONCURRENCY = 64
TURNS = 5
SERVING = ServingParams(
    protocol="plain",
    dtype="float32",
    max_model_len=2048,
    tensor_parallel=1,
    trust_remote_code=False,
)


async def answer(request: web.Request) -> web.Response:
    payload = await request.json()
    text = payload["messages"][-1]["content"].upper()
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    return web.json_response({"choices": [choice], "usage": usage})


def serve(to_parent: Connection) -> None:
    async def forever() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        to_parent.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(forever())


@contextmanager
def server() -> Iterator[str]:
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,))
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1"
    finally:
        process.kill()
        process.join()


def prompts() -> list[str]:
    return [f"problem {number}: " + "what is one and one? " * 20 for number in range(REQUESTS)]


def bare(url: str) -> list[str]:
    """The texts in the order of the prompts."""
    texts = [""] * REQUESTS

    async def ask_all() -> None:
        waiting = iter(enumerate(bodies))
        connector = aiohttp.TCPConnector(limit=CONCURRENCY)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def worker() -> None:
                for number, body in waiting:
                    async with session.post(f"{url}/chat/completions", json=body) as response:
                        found = await response.json()
                    texts[number] = found["choices"][0]["message"]["content"]

            async with asyncio.TaskGroup() as group:
                for _ in range(CONCURRENCY):
                    group.create_task(worker())

    bodies: list[dict[str, Any]] = [
        {
            "model": "m",
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0.7,
            "top_p": 1.0,
            "max_tokens": 16,
            "seed": number,
        }
        for number, prompt in enumerate(prompts())
    ]
    asyncio.run(ask_all())
    return texts


def ours(url: str) -> list[str]:
    """The same through an empty store on disk."""
    settings = EndpointSettings(
        base_urls=[url],
        revision="r",
        concurrency=CONCURRENCY,
        timeout_s=30.0,
        tries=10,
        max_failed=0,
    )
    engine = Endpoint(settings, SERVING, "m")
    rendered = [engine.render([{"role": "user", "content": text}]) for text in prompts()]
    requests = [Request("m", engine.name, one, 0.7, 1.0, 16, 1, 0) for one in rendered]
    found: dict[str, Reply] = {}
    with tempfile.TemporaryDirectory() as folder, Shelf(Path(folder)) as shelf:
        ask = shelf.remember(engine.ask, lambda items, _: items, max_failed=0.0)
        for request, reply in ask(requests):
            found[request.key()] = reply
    return [found[request.key()].text for request in requests]


def main() -> None:
    with server() as url:
        expected = [prompt.upper() for prompt in prompts()]
        assert bare(url) == expected
        assert ours(url) == expected
        seconds = results.in_turns({"bare": lambda: bare(url), "ours": lambda: ours(url)}, TURNS)
    rows = [
        [name, " ".join(f"{REQUESTS / one:.0f}" for one in times)]
        for name, times in seconds.items()
    ]
    share = results.ratio(seconds["bare"], seconds["ours"])
    text = results.table(["way", f"requests/s in {TURNS} turns"], rows)
    results.record(
        "asking",
        "make bench NAME=asking",
        f"{REQUESTS:,} requests, {CONCURRENCY} at once, to a server that answers at once.\n\n"
        f"{text}\n\nours / bare aiohttp: **{share}** (bar: at least 0.5)",
    )


if __name__ == "__main__":
    main()
