"""The bodies of OpenAI's chat completions: what a request says and what a reply may say."""

from typing import Any

import orjson

from delta.inference.types import Reply, Request, as_json, checked_reply

OUR_ID = "delta-"
# Ends by which a server says that it gives no text and would not another time.
REFUSING = ("content_filter", "refusal", "tool_calls", "function_call")
# Ends that are no end of a reply: the server broke it off. null is one of them.
BROKEN_OFF = ("abort", "error", "repetition", None)
# What `vllm serve` takes from the model's generation_config.json where a request leaves it out.
# These are the values of an engine in the process.
VLLM_FIELDS = {
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "spaces_between_special_tokens": False,
}
# No real reply is larger: the longest tokens have 128 characters, escaped 768 bytes of JSON.
BYTES_A_TOKEN = 1_024
BYTES_AROUND = 4 * 2**20
MOST_BYTES = 48 * 2**20  # the reply store's lines may have 64 MiB


class FailedTryError(Exception):
    """No reply came this time: a class that metrics count, and what was said."""

    def __init__(self, kind: str, said: str = "") -> None:
        super().__init__(f"{kind}: {said}")
        self.kind = kind
        self.said = said


def payload(request: Request, model: str) -> dict[str, Any]:
    """Return the body of a request to a vLLM server, with all that shapes its reply."""
    asked = orjson.loads(request.prompt)
    body: dict[str, Any] = {
        "model": model,
        "messages": asked["messages"],
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_tokens,
        "seed": request.sampling_seed(),
        **VLLM_FIELDS,
    }
    if request.stop:
        body["stop"] = list(request.stop)
    if request.keep_special_tokens:
        body["skip_special_tokens"] = False
    if arguments := asked["chat_template_kwargs"]:
        body |= {"chat_template_kwargs": arguments} | arguments
    if request.schema is not None:
        schema = {"name": "reply", "schema": orjson.loads(request.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def most_bytes(request: Request) -> int:
    """Return how large the body of a reply may be."""
    return min(MOST_BYTES, BYTES_AROUND + BYTES_A_TOKEN * request.max_tokens)


def parse(body: Any, request: Request) -> Reply:
    """Return the first choice.

    No text, or an end such as `content_filter`, is an answer too: the server refused, and would
    again. It is kept and counted, and never becomes a number. Reasoning without an answer is kept
    as reasoning. Raises FailedTryError where the server broke the reply off; KeyError, IndexError,
    TypeError or ValueError where the body is no chat reply, or one to another of our requests.
    """
    if not isinstance(body, dict):
        raise TypeError(f"the body is {type(body).__name__}, expected a JSON object")
    given = str(body.get("id")).rpartition(OUR_ID)  # vLLM's: chatcmpl-, and what we sent
    if given[1] and not given[2].startswith(request.key()):
        raise ValueError(f"the reply is to another request: {given[2]}")
    if body.get("error") and not body.get("choices"):
        raise FailedTryError("error in a reply", as_json(body["error"]))
    choice = body["choices"][0]
    message, end = choice["message"], choice["finish_reason"]
    if not isinstance(message, dict):
        raise TypeError(f"message is {type(message).__name__}, expected a JSON object")
    if end in BROKEN_OFF:
        raise FailedTryError(f"finish_reason {'null' if end is None else end}")
    # Servers with a reasoning parser take it out of the text, under one of two names.
    reasoning = message.get("reasoning") or message.get("reasoning_content") or None
    text = message.get("content")
    if text is None and (reasoning is not None or end == "length"):
        text = ""  # it gave no answer, or was cut while it reasoned unseen
    if end in REFUSING or text is None:
        text, end, reasoning = "", "refused", None
    usage = body["usage"]
    return checked_reply(
        {
            "text": text,
            "finish_reason": end,
            "prompt_tokens": usage["prompt_tokens"],
            "completion_tokens": usage["completion_tokens"],
            "reasoning": reasoning,
        }
    )
