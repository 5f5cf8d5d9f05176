"""A server on loopback as strict as OpenAI's API: a key, known fields, a small JSON schema."""

from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

from delta.inference.chat_completions import FieldName
from tests.helpers.pipeline_workspace import LIMITS
from tests.helpers.scripted_server import Raw, ScriptedServer, answer, run_server

KEY = "OPENAI_API_KEY"
VALUE = "sk-a-value-that-nobody-may-see"

FIELDS = {
    "model",
    "messages",
    "temperature",
    "top_p",
    "max_completion_tokens",
    "seed",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "response_format",
    "reasoning_effort",
}
KEYWORDS = {
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "description",
}
KNOWS = "gpt-4.1-mini"
STANDARD: list[FieldName] = [
    "max_completion_tokens",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "response_format",
]


def strict_api(key: str, only_default: bool = False) -> Raw:
    """Return the request handler of such an API.

    With `only_default`, it refuses temperature and top_p, like OpenAI's reasoning models.
    """
    fields = FIELDS - {"temperature", "top_p"} if only_default else FIELDS

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {key}":
            return refusal(401, "Incorrect API key provided")
        payload = await request.json()
        if unknown := sorted(payload.keys() - fields):
            return refusal(400, f"Unrecognized request argument supplied: {unknown[0]}")
        if payload["model"] != KNOWS:
            return refusal(404, f"The model {payload['model']} does not exist")
        if "response_format" in payload:
            schema = payload["response_format"]["json_schema"]["schema"]
            if bad := next(keywords_of(schema), None):
                return refusal(400, f"Invalid schema for response_format: '{bad}' is not permitted")
        return answer(payload)

    return handle


def keywords_of(schema: dict[str, Any]) -> Any:
    """Yield the keywords of a schema that strict decoding does not support."""
    yield from sorted(schema.keys() - KEYWORDS)
    for inner in schema.get("properties", {}).values():
        yield from keywords_of(inner)
    if "items" in schema:
        yield from keywords_of(schema["items"])


def refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)


def judge_at_api(content: dict[str, Any], url: str, key: str | None) -> None:
    """Let the API at `url` judge as model `judge-api`. `content` is that of params.yaml."""
    content["models"]["judge-api"] = {"served_model_name": KNOWS}
    content["serving"]["judge-api"] = {
        "chat_format": "plain",
        "max_model_len": 100_000,
        "server": {"revision": "2025-04-14", "accepts": STANDARD},
    }
    content["engine"]["servers"]["openai"] = {
        "base_urls": [url],
        "key": key,
        "models": {"judge-api": {"prompt": 0.4, "completion": 1.6}},
        **LIMITS,
    }
    content["judge"]["rater"] = "llm"
    content["judge"]["llm"]["model"] = "judge-api"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """Run a strict API that wants the key in $OPENAI_API_KEY."""
    monkeypatch.setenv(KEY, VALUE)
    with run_server() as server:
        server.raw = strict_api(VALUE)
        yield server
