"""OpenAI's chat completions: the body of a request, the fields a server accepts, and its replies.

vLLM accepts all fields. Hosted APIs refuse a request with an unknown field, name the limit of a
reply in one of two ways, take no temperature for some models, and cannot compile bounds of strings,
lists and numbers into a grammar. So params.yaml lists the fields that a server accepts.
"""

from typing import Annotated, Any, Literal, get_args

import orjson
from pydantic import BeforeValidator

from delta.inference.chat_formats import ChatFormat
from delta.inference.digit_tokens import find_digits
from delta.inference.types import DigitToken, Reply, Request, canonical_json, parse_reply

COMPLETIONS_PATH = "/chat/completions"
LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")
FieldName = Literal[
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "response_format",
    "reasoning_effort",
    "logprobs",  # and top_logprobs
]
REQUIRED_FIELDS = ("model", "messages")
DEFAULT_SAMPLING = 1.0  # temperature and top_p of the OpenAI API where a request has none
REQUEST_ID_PREFIX = "delta-"
# The server gives no text, and a second attempt would get none either.
REFUSALS = ("content_filter", "refusal", "tool_calls", "function_call")
ABORTS = ("abort", "error", "repetition", None)  # the server aborted the reply
# `vllm serve` takes missing fields from the model's generation_config.json. These are the defaults
# of vLLM in this process.
VLLM_FIELDS = {
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "spaces_between_special_tokens": False,
}
# The longest tokens have 128 characters, which JSON may escape to 768 bytes.
BYTES_PER_TOKEN = 1_024  # and as much for each alternative to it
OVERHEAD_BYTES = 4 * 2**20
MAX_BODY_BYTES = 48 * 2**20  # a line of the reply cache may have 64 MiB


def _validate_accepts(accepts: Any) -> Any:
    names = get_args(FieldName)
    if accepts == "vllm":
        return accepts
    if isinstance(accepts, list) and all(name in names for name in accepts):
        is_unique = len({*accepts}) == len(accepts)
        if is_unique and sum(name in LIMIT_FIELDS for name in accepts) == 1:
            return accepts
    raise ValueError(
        f"expected vllm, or a list of {', '.join(names)}, with exactly one of "
        f"{' and '.join(LIMIT_FIELDS)}"
    )


Accepts = Annotated[Literal["vllm"] | list[FieldName], BeforeValidator(_validate_accepts)]


class FailedAttemptError(Exception):
    """An attempt got no reply. `kind` is the class that metrics count."""

    def __init__(self, kind: str, message: str = "") -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


def request_body(request: Request, model: str, accepts: Accepts = "vllm") -> dict[str, Any]:
    """Return the body of a request, with the fields that the server accepts."""
    prompt = orjson.loads(request.prompt)
    body: dict[str, Any] = {
        "model": model,
        "messages": prompt["messages"],
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
    if arguments := prompt["chat_template_kwargs"]:
        body |= {"chat_template_kwargs": arguments} | arguments
    if request.schema is not None:
        schema = {"name": "reply", "schema": orjson.loads(request.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.digit_alternatives:
        body |= {"logprobs": True, "top_logprobs": request.digit_alternatives}
    return body if accepts == "vllm" else _with_accepted_fields(body, accepts)


def _with_accepted_fields(body: dict[str, Any], accepts: list[FieldName]) -> dict[str, Any]:
    if "max_tokens" not in accepts:
        body["max_completion_tokens"] = body.pop("max_tokens")
    if "response_format" in body:
        schema = body["response_format"]["json_schema"]
        schema["schema"] = portable_schema(schema["schema"])
    accepted: set[str] = {*REQUIRED_FIELDS, *accepts}
    if "logprobs" in accepted:
        accepted.add("top_logprobs")
    return {name: value for name, value in body.items() if name in accepted}


def portable_schema(schema: Any) -> Any:
    """Return a JSON schema in keywords that every strict decoder compiles.

    Bounds of strings and lists become a description, which the model reads; the reply is checked
    against them later. A range of integers becomes the list of them.
    """
    if isinstance(schema, list):
        return [portable_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    portable = {name: portable_schema(part) for name, part in schema.items()}
    bounds = [
        f"at most {portable.pop(name)} {unit}"
        for name, unit in (("maxLength", "characters"), ("maxItems", "items"))
        if isinstance(portable.get(name), int)
    ]
    if bounds:
        description = filter(None, [portable.get("description")])
        portable["description"] = ", ".join([*description, *bounds])
    if portable.get("type") == "integer" and {"minimum", "maximum"} <= portable.keys():
        portable["enum"] = list(range(portable.pop("minimum"), portable.pop("maximum") + 1))
    return portable


def unsupported_setting(
    accepts: Accepts, temperature: float, top_p: float, chat_format: ChatFormat
) -> str | None:
    """Return the first setting that shapes replies and that the server would not get, or None."""
    if accepts == "vllm":
        return None
    for name, value in (("temperature", temperature), ("top_p", top_p)):
        if name not in accepts and value != DEFAULT_SAMPLING:
            return (
                f"{name} = {value}, but the server accepts no {name}; expected {DEFAULT_SAMPLING}"
            )
    template = chat_format.template
    needed: dict[str, Any] = {
        "stop": chat_format.stop,
        "reasoning_effort": template.reasoning_effort,
        "chat_template_kwargs": template.enable_thinking is not None,  # only vLLM knows them
    }
    for name, setting in needed.items():
        if setting and name not in accepts:
            return f"its chat format needs {name}, which the server does not accept"
    if chat_format.keep_special_tokens and not chat_format.channels:
        return "its chat format reads special tokens, which only vLLM leaves in a reply"
    return None


def max_body_bytes(request: Request) -> int:
    """Return how large the body of a reply may be."""
    per_token = BYTES_PER_TOKEN * (1 + request.digit_alternatives)
    return min(MAX_BODY_BYTES, OVERHEAD_BYTES + per_token * request.max_tokens)


def parse_body(body: Any, request: Request) -> Reply:
    """Return the first choice as a reply.

    A refusal is a reply without text, which is cached and counted and never becomes a number.
    Reasoning without an answer stays reasoning. Raises FailedAttemptError where the server aborted
    the reply, and KeyError, IndexError, TypeError or ValueError where the body is no chat
    completion or is the reply to another request.
    """
    if not isinstance(body, dict):
        raise TypeError(f"the body is {type(body).__name__}, expected a JSON object")
    # vLLM's id is "chatcmpl-" and the id that we sent.
    _, is_ours, key = str(body.get("id")).rpartition(REQUEST_ID_PREFIX)
    if is_ours and not key.startswith(request.key()):
        raise ValueError(f"the reply is to another request: {key}")
    if body.get("error") and not body.get("choices"):
        raise FailedAttemptError("error in a reply", canonical_json(body["error"]))
    choice = body["choices"][0]
    message, finish_reason = choice["message"], choice["finish_reason"]
    if not isinstance(message, dict):
        raise TypeError(f"message is {type(message).__name__}, expected a JSON object")
    if finish_reason in ABORTS:
        raise FailedAttemptError(f"finish_reason {finish_reason or 'null'}")
    # Servers with a reasoning parser take it out of the text, under one of two names.
    reasoning = message.get("reasoning") or message.get("reasoning_content") or None
    text = message.get("content")
    if text is None and (reasoning is not None or finish_reason == "length"):
        text = ""  # there is no answer, or the reply was cut in reasoning that is not shown
    if finish_reason in REFUSALS or text is None:
        text, finish_reason, reasoning = "", "refused", None
    usage = body["usage"]
    return parse_reply(
        {
            "text": text,
            "finish_reason": finish_reason,
            "prompt_tokens": usage["prompt_tokens"],
            "completion_tokens": usage["completion_tokens"],
            "reasoning": reasoning,
            "digits": _digits(text, choice) if request.digit_alternatives else None,
        }
    )


def _digits(text: str, choice: dict[str, Any]) -> list[DigitToken] | None:
    """Return the digits of a choice's text, or None where the server did not send their tokens."""
    tokens = (choice.get("logprobs") or {}).get("content")
    if not tokens:
        return None
    return find_digits(
        text,
        [
            (
                token["token"],
                # The token itself need not be among the most probable ones.
                list({place["token"]: place["logprob"] for place in places}.items()),
            )
            for token in tokens
            for places in [[token, *token["top_logprobs"]]]
        ],
    )
