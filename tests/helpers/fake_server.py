"""An OpenAI-compatible server on loopback that replies by rule and counts its requests."""

import asyncio
import hashlib
import json
import re
import threading
from collections import Counter
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from delta.judging import rubric
from tests.helpers.judge_replies import judge_reply

ANSWER = re.compile(r"should be (\S+?)[.,]?(?:\s|$)")  # prompts of fixtures contain their answer
FORMULA = re.compile(r"\d+(?: [-+*] \d+)+")  # the tasks of the smoke profile


class FakeServer:
    """A server that gives equal replies to equal requests. `requests` counts them by content."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.requests: Counter[str] = Counter()
        self.num_answered = 0
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
        self.requests[content] += 1
        await asyncio.sleep(self.delay_s)
        self.num_answered += 1
        return web.json_response(reply_to(payload, content))


def reply_to(payload: dict[str, Any], content: str) -> dict[str, Any]:
    """Reply like the model's family: reasoning between its markers, then a rating or an answer."""
    number = int(hashlib.sha256(content.encode()).hexdigest()[:8], 16)
    model, prompt = payload["model"], payload["messages"][-1]["content"]
    if "response_format" in payload:
        text = rating(number)
    elif "Verdict: " in prompt:
        verdict = (*["EQUIVALENT", "DIFFERENT"] * 4, "AMBIGUOUS")[number % 9]
        text = f"Both end in a number.\n\nVerdict: {verdict}"
    elif "```" in prompt or "program" in prompt:
        text = f"```python\nprint({number % 7})\n```"
    else:
        # Half of the traces box the correct answer.
        answer = answer_to(prompt)
        box = answer if answer and number % 2 else str(number % 40)
        text = f"2 * {number % 9973} = {2 * (number % 9973)}. The answer is \\boxed{{{box}}}."
    message: dict[str, Any] = {"content": text}
    finish_reason = "stop"
    if number % 11 == 0 and "response_format" not in payload:
        finish_reason = "length"
    if model.startswith("s1-"):
        thought = "<|im_start|>think\nOne by one.\n"
        message["content"] = (
            thought if finish_reason == "length" else (f"{thought}<|im_start|>answer\n{text}")
        )
    elif model.startswith("nemotron-"):
        thought = "<think>\nOne by one.\n"
        message["content"] = (
            thought if finish_reason == "length" else f"{thought}</think>\n\n{text}"
        )
    elif model.startswith("gpt-oss"):
        message["reasoning"] = "The trace adds, then boxes."  # its server splits the channels
    usage = {"prompt_tokens": 10, "completion_tokens": 20}
    return {"choices": [{"message": message, "finish_reason": finish_reason}], "usage": usage}


def answer_to(prompt: str) -> str | None:
    if match := ANSWER.search(prompt):
        return match[1]
    formulas = FORMULA.findall(prompt)
    return str(eval(formulas[-1])) if formulas else None


def rating(number: int) -> str:
    """Return a judge's reply with scores from the bits of `number`."""
    ratings = {}
    for place, dimension in enumerate(rubric.DIMENSIONS):
        score = 1 + (number >> (3 * place)) % 5
        ratings[dimension] = {
            "score": score,
            "justification": "By rule.",
            "deductions_found": [],
        }
    return judge_reply(ratings)
