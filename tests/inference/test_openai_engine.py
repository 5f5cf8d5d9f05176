"""The engine sends the fields of a request to a server and reads the reply."""

from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from delta.inference import chat_formats
from delta.inference.chat_formats import ReasoningSpan
from delta.inference.engine import read_reply
from delta.inference.types import Reply
from tests.helpers.scripted_server import (
    ScriptedServer,
    completion,
    engine_at,
    plain_requests,
)


def test_all_that_shapes_the_reply_reaches_the_server(server: ScriptedServer) -> None:
    ((_, reply),) = engine_at(server.url).generate(plain_requests(1))
    (payload,) = server.seen
    assert isinstance(reply, Reply)
    assert reply._replace(text="") == Reply("", "stop", 3, 4)
    assert payload == {
        "model": "toy",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 1.0,
        "top_p": 1.0,
        "max_tokens": 8,
        "seed": plain_requests(1)[0].sampling_seed(),
        # What `vllm serve` would otherwise take from the model's generation_config.json.
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "spaces_between_special_tokens": False,
    }


def test_a_chat_formats_arguments_reach_the_server_and_its_reasoning_comes_back(
    server: ScriptedServer,
) -> None:
    def reasons(_: dict[str, Any]) -> web.Response:
        message = {"content": "So 2.", "reasoning": "One and one."}
        choice = {"message": message, "finish_reason": "stop"}
        return web.json_response(completion("") | {"choices": [choice]})

    server.answer = reasons
    engine = engine_at(server.url, chat_format="gpt-oss")
    prompt = engine.render(engine.chat_format.messages("1 + 1 = ?"))
    request = replace(plain_requests(1)[0], prompt=prompt, stop=("END",), keep_special_tokens=True)
    ((_, reply),) = engine.generate([request])
    (payload,) = server.seen
    assert payload["messages"] == [{"role": "user", "content": "1 + 1 = ?"}]
    assert payload["stop"] == ["END"]
    assert payload["skip_special_tokens"] is False
    assert payload["chat_template_kwargs"] == {"reasoning_effort": "medium"}
    assert payload["reasoning_effort"] == "medium"
    assert isinstance(reply, Reply)
    text, split = read_reply(reply, engine.chat_format, prompt)
    assert "One and one." in text
    assert text[split.answer_start :] == "So 2."


def test_a_reply_that_is_cut_while_it_reasons_has_no_answer(server: ScriptedServer) -> None:
    def reasons(_: dict[str, Any]) -> web.Response:
        message = {"content": None, "reasoning_content": "One and"}
        choice = {"message": message, "finish_reason": "length"}
        return web.json_response(completion("") | {"choices": [choice]})

    server.answer = reasons
    engine = engine_at(server.url, chat_format="nemotron")
    ((_, reply),) = engine.generate(plain_requests(1))
    assert isinstance(reply, Reply)
    text, split = read_reply(reply, engine.chat_format, "")
    assert text == "<think>\nOne and"
    assert split.answer_start is None


REASONED = [
    ("It is 1 + 1.\n", "So 2.", "It is 1 + 1.\n\nSo 2.", ReasoningSpan(0, 12, 14)),
    ("It is 1 + 1.", "\n", "It is 1 + 1.", ReasoningSpan(0, 12, None)),
    ("  ", "So 2.", "So 2.", ReasoningSpan(0, 0, 0)),
]


@pytest.mark.parametrize(("reasoning", "content", "text", "split"), REASONED)
@pytest.mark.parametrize("name", ["plain", "llama"])
def test_reasoning_from_a_server_stays_apart_from_the_answer_without_markers(
    name: str, reasoning: str, content: str, text: str, split: ReasoningSpan
) -> None:
    reply = Reply(content, "stop", 3, 4, reasoning)
    assert read_reply(reply, chat_formats.load(name), "") == (text, split)


def test_a_reply_without_text_that_was_cut_is_cut_and_not_refused(server: ScriptedServer) -> None:
    choice = {"message": {"content": None}, "finish_reason": "length"}
    server.answer = lambda _: web.json_response(completion("") | {"choices": [choice]})
    ((_, reply),) = engine_at(server.url).generate(plain_requests(1))
    assert reply == Reply("", "length", 3, 4)


@pytest.mark.usefixtures("_no_pauses")
def test_a_reply_is_matched_to_its_request_by_id(server: ScriptedServer) -> None:
    async def echoes(request: web.Request) -> web.StreamResponse:
        request_id = request.headers["X-Request-Id"]
        return web.json_response(completion(request_id) | {"id": f"chatcmpl-{request_id}"})

    server.raw = echoes
    for request, reply in engine_at(server.url).generate(plain_requests(4)):
        assert isinstance(reply, Reply)
        assert reply.text == f"delta-{request.key()}"
    assert server.count() == 4


def test_many_short_calls_succeed(server: ScriptedServer) -> None:
    engine = engine_at(server.url)
    assert [len(list(engine.generate(plain_requests(2)))) for _ in range(100)] == [2] * 100
