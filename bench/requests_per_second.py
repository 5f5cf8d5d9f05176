"""Measure requests per second of our engine and reply cache, a bare aiohttp loop and four peers.

    make bench NAME=requests_per_second

A server in another process answers at once. Our side renders, hashes, sends and checks each request
and writes its reply to the cache before it reads the next one. The bare loop posts prepared bodies
and reads JSON. Each peer runs in its own environment, which this script makes in .bench/ from
bench/environments/; bench/peers/ says what each peer does and which part is timed. All get the same
2,000 texts.
"""

import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bench import peers, results
from delta.inference.config import ServerModelParams, ServerParams, ServingParams
from delta.inference.openai_engine import OpenAIEngine
from delta.inference.reply_cache import ReplyCache
from delta.inference.types import Reply, Request

REQUESTS = 2_000
TURNS = 5
PEERS = ("distilabel", "curator", "datatrove", "data_designer")
ENVIRONMENTS = Path(".bench")
PEER_LIMIT_S = 600
Handler = Callable[[web.Request], Awaitable[web.Response]]
SERVING = ServingParams(
    chat_format="plain",
    dtype="float32",
    max_model_len=2048,
    max_num_seqs=64,
    tensor_parallel_size=1,
    trust_remote_code=False,
    server=ServerModelParams(revision="r", accepts="vllm"),
)


async def answer(request: web.Request) -> web.Response:
    payload = await request.json()
    if not payload["messages"]:  # curator's first request looks for limits in its headers
        return web.json_response({"error": "no messages"}, status=400)
    content = payload["messages"][-1]["content"]
    if isinstance(content, list):  # Data Designer's form of a text
        content = content[0]["text"]
    return web.json_response(completion(content.upper()))


def completion(content: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    head = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
    return {**head, "choices": [choice], "usage": usage}


async def models(_: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})


def serve(to_parent: Connection, answer: Handler) -> None:
    async def forever() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        app.router.add_get("/v1/models", models)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        to_parent.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(forever())


@contextmanager
def server(answer: Handler) -> Iterator[str]:
    """Serve chat completions with `answer` from another process; yield the base URL."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, answer))
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1"
    finally:
        process.kill()
        process.join()


def prompts() -> list[str]:
    text = "what is one and one? " * 20
    return [f"problem {number}: {text}".strip() for number in range(REQUESTS)]


def bare(url: str) -> list[str]:
    """Return the texts in the order of the prompts."""
    texts = [""] * REQUESTS

    async def ask_all() -> None:
        waiting = iter(enumerate(bodies))
        connector = aiohttp.TCPConnector(limit=peers.CONCURRENCY)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def worker() -> None:
                for number, body in waiting:
                    async with session.post(f"{url}/chat/completions", json=body) as response:
                        reply = await response.json()
                    texts[number] = reply["choices"][0]["message"]["content"]

            async with asyncio.TaskGroup() as group:
                for _ in range(peers.CONCURRENCY):
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
    """Return the same texts through our engine and an empty reply cache on disk."""
    server = ServerParams(
        base_urls=[url],
        key=None,
        models={"m": None},
        concurrency=peers.CONCURRENCY,
        timeout_s=30.0,
        max_retries=9,
    )
    engine = OpenAIEngine(server, SERVING, "m")
    rendered = [engine.render([{"role": "user", "content": text}]) for text in prompts()]
    requests = [Request("m", engine.name, prompt, 0.7, 1.0, 16, 1, 0) for prompt in rendered]
    replies: dict[str, Reply] = {}
    with tempfile.TemporaryDirectory() as folder, ReplyCache(Path(folder)) as cache:
        generate = cache.cached(engine.generate, max_failed=0.0)
        for request, reply in generate(requests):
            replies[request.key()] = reply
    return [replies[request.key()].text for request in requests]


class NotMeasuredError(Exception):
    pass


def environment(name: str) -> Path:
    """Return the Python of the peer's environment; make the environment where it is missing."""
    folder = ENVIRONMENTS / name
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        needs = Path(__file__).with_name("environments") / f"{name}.txt"
        for command in (
            [sys.executable, "-m", "venv", "--clear", folder],
            [python, "-m", "pip", "install", "-qq", "--no-compile", "-r", needs],
        ):
            run(f"{name} cannot be installed", list(map(str, command)), "")
        complete.touch()
    return python


def run(failure: str, command: list[str], text: str) -> None:
    """Run a command; raise NotMeasuredError with the last line of its output if it fails."""
    quiet = {
        "TELEMETRY_ENABLED": "false",  # curator
        "NEMO_TELEMETRY_ENABLED": "false",  # Data Designer
        "LITELLM_LOCAL_MODEL_COST_MAP": "true",
        "HF_HUB_OFFLINE": "1",
    }
    try:
        completed = subprocess.run(
            command,
            input=text,
            env={**os.environ, **quiet},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PEER_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotMeasuredError(f"{failure}: no result after {PEER_LIMIT_S} s") from error
    if completed.returncode:
        lines = completed.stdout.strip().splitlines() or ["no output"]
        raise NotMeasuredError(f"{failure}: {lines[-1]}")


def seconds_of_peer(name: str, url: str) -> float:
    """Return the seconds that the peer took for all texts; assert that each is right."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        content = json.dumps({"url": url, "prompts": prompts()})
        command = [str(environment(name)), "-m", f"bench.peers.{name}", str(result)]
        run(f"{name} failed", command, content)
        measured = json.loads(result.read_text())
    assert measured["texts"] == expected(), name
    return float(measured["seconds"])


def seconds_of(way: Callable[[str], list[str]], url: str) -> float:
    start = time.perf_counter()
    texts = way(url)
    seconds = time.perf_counter() - start
    assert texts == expected()
    return seconds


def expected() -> list[str]:
    return [prompt.upper() for prompt in prompts()]


def in_turns(url: str) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Return the seconds of each way after an uncounted turn, and why a peer has none."""
    ways: dict[str, Callable[[], float]] = {
        "bare aiohttp": partial(seconds_of, bare, url),
        "ours": partial(seconds_of, ours, url),
        **{name: partial(seconds_of_peer, name, url) for name in PEERS},
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    missing: dict[str, str] = {}
    for turn in range(TURNS + 1):
        for name in [name for name in ways if name not in missing]:
            try:
                measured_s = ways[name]()
            except NotMeasuredError as error:
                missing[name] = str(error)
                del seconds[name]
                continue
            if turn:
                seconds[name].append(measured_s)
    return seconds, missing


def main() -> None:
    results.argument_parser(__doc__).parse_args()
    with server(answer) as url:
        seconds, missing = in_turns(url)
    ours_s = seconds["ours"]
    rows = [
        [
            name,
            " ".join(f"{REQUESTS / second:.0f}" for second in times),
            results.ratio(times, ours_s),
        ]
        for name, times in seconds.items()
    ]
    rows += [[name, f"not measured: {why}", "–"] for name, why in missing.items()]
    text = results.table(["way", f"requests/s in {TURNS} turns", "ours is faster by"], rows)
    measured = [seconds[name] for name in PEERS if name in seconds]
    best_peer = min(measured, key=statistics.median, default=None)
    peer_ratio = results.ratio(best_peer, ours_s) if best_peer else "not measured"
    bare_ratio = results.ratio(best_peer, seconds["bare aiohttp"]) if best_peer else "not measured"
    results.record(
        "requests_per_second",
        "make bench NAME=requests_per_second",
        f"{REQUESTS:,} requests, {peers.CONCURRENCY} at once, to a server that answers at once; "
        "every text asserted. Of a peer, the time from its first call to when its results are "
        f"kept and read, after {peers.WARMUP} prompts in the same process that are not counted.\n\n"
        f"{text}\n\nours / bare aiohttp: **{results.ratio(seconds['bare aiohttp'], ours_s)}** "
        f"(target: at least 0.5); ours / the best peer: **{peer_ratio}** (target: at least 3); "
        f"bare aiohttp / the best peer: {bare_ratio}",
    )


if __name__ == "__main__":
    main()
