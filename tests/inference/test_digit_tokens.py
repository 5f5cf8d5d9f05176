"""The tokens of a reply with a digit, and what a server says of them."""

from dataclasses import replace
from math import log
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from delta.inference import vllm_engine
from delta.inference.chat_completions import max_body_bytes
from delta.inference.digit_tokens import Token, find_digits
from delta.inference.reply_cache import ReplyCache
from delta.inference.types import Reply, parse_reply, reply_fields
from tests.helpers.scripted_server import ScriptedServer, completion, engine_at, plain_requests

THREE_OR_FOUR = [("3", log(0.5)), (" 3", log(0.25)), ("4", log(0.25))]
ONLY_FOUR = [("4", 0.0), ("5", -9999.0)]


def plain(text: str) -> Token:
    return text, [(text, 0.0)]


def test_a_digit_keeps_its_place_and_the_probabilities_there() -> None:
    tokens = [plain('{"a": '), ("3", THREE_OR_FOUR), plain(', "b": '), ("4", ONLY_FOUR), plain("}")]
    text = '{"a": 3, "b": 4}'
    found = find_digits(text, tokens)
    assert found == [
        {"at": 6, "probabilities": {"3": 0.5, " 3": 0.25, "4": 0.25}},
        {"at": 14, "probabilities": {"4": 1.0, "5": 0.0}},
    ]
    assert [text[digit["at"]] for digit in found] == ["3", "4"]


def test_tokens_of_equal_text_are_one_and_a_token_of_two_digits_is_one_too() -> None:
    assert find_digits("12", [("12", [("12", log(0.5)), ("12", log(0.25))])]) == [
        {"at": 0, "probabilities": {"12": 0.75}}
    ]


def test_reasoning_and_special_tokens_before_the_text_are_no_part_of_it() -> None:
    tokens = [plain("<|channel_1|>"), plain("7 is too many"), ("3", THREE_OR_FOUR), plain("<end>")]
    assert find_digits("3", tokens) == [
        {"at": 0, "probabilities": {"3": 0.5, " 3": 0.25, "4": 0.25}}
    ]


@pytest.mark.parametrize("text", ["4", "33", "3 and 7"])
def test_tokens_of_another_text_tell_nothing(text: str) -> None:
    assert find_digits(text, [("3", THREE_OR_FOUR)]) is None


def test_a_log_probability_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="the log-probability of '3' is not a number"):
        find_digits("3", [("3", [("3", float("nan"))])])


def test_a_completion_of_vllm_tells_the_alternatives_to_each_token() -> None:
    def other(text: str | None, probability: float) -> SimpleNamespace:
        return SimpleNamespace(decoded_token=text, logprob=log(probability))

    alternatives = [{8: other("is ", 1.0)}, {9: other("3", 0.5), 7: other(None, 0.25)}]
    completion = SimpleNamespace(token_ids=[8, 9], logprobs=alternatives)
    assert find_digits("is 3", vllm_engine._tokens(completion)) == [
        {"at": 3, "probabilities": {"3": 0.5, "": 0.25}}
    ]
    for logprobs in (None, alternatives[:1]):
        untold = SimpleNamespace(token_ids=[8, 9], logprobs=logprobs)
        assert find_digits("is 3", vllm_engine._tokens(untold)) is None


def place(token: str, others: list[tuple[str, float]]) -> dict[str, Any]:
    top = [{"token": text, "logprob": logprob, "bytes": None} for text, logprob in others]
    logprob = dict(others).get(token, log(0.01))
    return {"token": token, "logprob": logprob, "bytes": None, "top_logprobs": top}


def test_a_server_is_asked_for_log_probabilities_and_the_reply_keeps_those_of_digits(
    server: ScriptedServer, tmp_path: Any
) -> None:
    def scores(_: dict[str, Any]) -> web.Response:
        body = completion("is 3")
        # The token that was drawn need not be among the most probable ones.
        content = [place("is ", []), place("3", [("4", log(0.5)), ("5", log(0.25))])]
        body["choices"][0]["logprobs"] = {"content": content}
        return web.json_response(body)

    server.answer = scores
    request = replace(plain_requests(1)[0], digit_alternatives=20)
    ((_, reply),) = engine_at(server.url).generate([request])
    (payload,) = server.seen
    assert (payload["logprobs"], payload["top_logprobs"]) == (True, 20)
    assert isinstance(reply, Reply)
    assert reply.digits == [{"at": 3, "probabilities": {"3": 0.01, "4": 0.5, "5": 0.25}}]
    with ReplyCache(tmp_path) as cache:
        cache.put(request.key(), reply_fields(reply))
    with ReplyCache(tmp_path) as cache:
        assert cache.reply(request.key()) == reply


def test_a_server_that_sends_none_gives_a_reply_without_them(server: ScriptedServer) -> None:
    server.answer = lambda _: web.json_response(completion("is 3"))
    request = replace(plain_requests(1)[0], digit_alternatives=20)
    ((_, reply),) = engine_at(server.url).generate([request])
    assert isinstance(reply, Reply)
    assert reply.digits is None


def test_a_hosted_server_gets_both_fields_or_none(server: ScriptedServer) -> None:
    request = replace(plain_requests(1)[0], digit_alternatives=20)
    list(engine_at(server.url, accepts=["max_tokens", "logprobs"]).generate([request]))
    list(engine_at(server.url, accepts=["max_tokens"]).generate([request]))
    asked = [{"logprobs", "top_logprobs"} & payload.keys() for payload in server.seen]
    assert asked == [{"logprobs", "top_logprobs"}, set()]


def test_a_request_without_them_has_its_old_key_and_its_old_reply() -> None:
    request = plain_requests(1)[0]
    keys = {replace(request, digit_alternatives=number).key() for number in (0, 5, 20)}
    assert len(keys) == 3
    assert request.key() in keys
    old = {"text": "3", "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1}
    assert parse_reply(old).digits is None
    assert reply_fields(parse_reply(old)) == old | {"reasoning": None}
    with pytest.raises(ValueError, match="digits"):
        parse_reply(old | {"digits": [{"at": 1}]})
    longer = max_body_bytes(replace(request, digit_alternatives=20))
    assert longer > max_body_bytes(request)
