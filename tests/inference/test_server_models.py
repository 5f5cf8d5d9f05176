"""Models that only a server has, and an engine for each model: which server gets what."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from delta.check import check_content
from delta.core import fingerprint
from delta.core.errors import InputError
from delta.core.params import read_all
from delta.data import fetch
from delta.data.fetch import ModelParams
from delta.export import provenance
from delta.inference.chat_completions import FieldName, portable_schema
from delta.inference.config import WeightlessServingParams
from delta.inference.engine import open_engine
from delta.inference.openai_engine import ServerRefusedError
from delta.inference.types import Failure, Reply, Request, canonical_json
from delta.judging import rubric
from delta.report import collect
from tests.helpers.import_closure import ROOT
from tests.helpers.plan_workspace import params_with
from tests.helpers.scripted_server import ScriptedServer, engine_at, plain_requests
from tests.helpers.strict_api import KEY, KNOWS, STANDARD, VALUE, judge_at_api, strict_api

Change = Callable[[dict[str, Any]], object]


# Fetch: a name, no weights


def test_the_folder_of_a_model_at_a_server_holds_its_name_and_is_its_fingerprint(
    tmp_path: Path,
) -> None:
    prints = [
        fetch.fetch(name, ModelParams(served_model_name=model), tmp_path / name, lambda _: None)
        for name, model in (("a", KNOWS), ("b", KNOWS), ("c", "Qwen/Qwen2.5-1.5B"))
    ]
    assert json.loads((tmp_path / "c" / "served.json").read_text()) == {
        "served": "Qwen/Qwen2.5-1.5B"
    }
    assert fingerprint.read_served_model_name(tmp_path / "c") == "Qwen/Qwen2.5-1.5B"
    assert [fingerprint.read_fingerprint(tmp_path / name) for name in "abc"] == prints
    assert prints[0] == prints[1] != prints[2]


def test_a_request_to_a_model_at_a_server_holds_its_name_and_revision(tmp_path: Path) -> None:
    def key(model: str, revision: str) -> str:
        params = params_with(lambda p: judge_at_api(p, "http://127.0.0.1:1/v1", None))
        folder = tmp_path / model.replace("/", "-") / "judge-api"
        source = ModelParams(served_model_name=model)
        fingerprint = fetch.fetch("judge-api", source, folder, lambda _: None)
        serving = params.serving["judge-api"]
        assert isinstance(serving, WeightlessServingParams)
        server = serving.server.model_copy(update={"revision": revision})
        engine = open_engine(params.engine, serving.model_copy(update={"server": server}), folder)
        return replace(plain_requests(1)[0], model=fingerprint, engine=engine.name).key()

    assert key(KNOWS, "1") == key(KNOWS, "1")
    assert len({key(KNOWS, "1"), key(KNOWS, "2"), key("other", "1")}) == 3


def test_a_vllm_server_keeps_the_engine_name_of_its_cached_replies() -> None:
    assert engine_at("http://127.0.0.1:1/v1").name == "endpoint r1"
    other = engine_at("http://127.0.0.1:1/v1", accepts=["max_tokens", "temperature"])
    assert other.name == "endpoint r1 max_tokens,temperature"


def test_the_page_and_the_data_card_name_a_model_at_a_server() -> None:
    model, serving = {"served_model_name": KNOWS}, {"server": {"revision": "2025-04-14"}}
    assert collect.model_source(model, serving) == "gpt-4.1-mini at a server: 2025-04-14"
    origin = ModelParams(served_model_name=KNOWS).origin
    assert origin == "gpt-4.1-mini at a server"
    assert provenance.LicensedSource("judge", "judge-api", origin, "").licence == provenance.UNKNOWN


# What a strict API is sent


def judged(number: int = 1) -> list[Request]:
    schema = json.dumps(rubric.schema())
    return [replace(request, schema=schema, temperature=0.6) for request in plain_requests(number)]


def test_a_hosted_api_gets_the_standard_fields_alone(api: ScriptedServer) -> None:
    engine = engine_at(api.url, accepts=STANDARD, key=KEY, chat_format="gpt-oss")
    request = replace(
        plain_requests(1)[0], keep_special_tokens=True, stop=("END",), temperature=0.6
    )
    prompt = {"messages": [{"role": "user", "content": "hello"}]}
    prompt["chat_template_kwargs"] = {"reasoning_effort": "medium"}  # type: ignore[assignment]
    engine.model = KNOWS
    ((_, reply),) = engine.generate([replace(request, prompt=canonical_json(prompt))])
    assert isinstance(reply, Reply), reply
    (payload,) = api.seen
    assert payload == {
        "model": KNOWS,
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0.6,
        "top_p": 1.0,
        "max_completion_tokens": 8,
        "seed": payload["seed"],
        "stop": ["END"],
    }


def test_reasoning_effort_is_sent_where_the_api_accepts_it(api: ScriptedServer) -> None:
    accepts: list[FieldName] = [*STANDARD, "reasoning_effort"]
    engine = engine_at(api.url, accepts=accepts, key=KEY, chat_format="gpt-oss")
    engine.model = KNOWS
    prompt = engine.render(engine.chat_format.messages("1 + 1 = ?"))
    ((_, reply),) = engine.generate([replace(plain_requests(1)[0], prompt=prompt)])
    assert isinstance(reply, Reply), reply
    (payload,) = api.seen
    assert payload["reasoning_effort"] == "medium"
    assert "chat_template_kwargs" not in payload


def test_a_rating_is_guided_by_a_schema_that_strict_decoding_takes(api: ScriptedServer) -> None:
    engine = engine_at(api.url, accepts=STANDARD, key=KEY)
    engine.model = KNOWS
    ((_, reply),) = engine.generate(judged())
    assert isinstance(reply, Reply), reply
    assert rubric.parse_votes(reply.text) is not None


def test_the_api_of_these_tests_refuses_what_vllm_takes(api: ScriptedServer) -> None:
    engine = engine_at(api.url, accepts="vllm", key=KEY)
    engine.model = KNOWS
    ((_, lost),) = engine.generate(judged())
    assert isinstance(lost, Failure)
    assert "Unrecognized request argument supplied: max_tokens" in lost.reason


def test_a_model_that_takes_no_temperature_is_asked_at_its_default(api: ScriptedServer) -> None:
    api.raw = strict_api(VALUE, only_default=True)
    accepts = [name for name in STANDARD if name not in ("temperature", "top_p")]
    engine = engine_at(api.url, accepts=accepts, key=KEY)
    engine.model = KNOWS
    ((_, reply),) = engine.generate(plain_requests(1))
    assert isinstance(reply, Reply), reply


def test_a_portable_schema_says_bounds_in_words() -> None:
    text = {"type": "string", "maxLength": 300}
    schema = {
        "type": "object",
        "properties": {
            "score": {"type": "integer", "minimum": 1, "maximum": 5},
            "why": text,
            "found": {"type": "array", "items": text, "maxItems": 5},
        },
        "required": ["score"],
    }
    words = {"type": "string", "description": "at most 300 characters"}
    assert portable_schema(schema) == {
        "type": "object",
        "properties": {
            "score": {"type": "integer", "enum": [1, 2, 3, 4, 5]},
            "why": words,
            "found": {"type": "array", "items": words, "description": "at most 5 items"},
        },
        "required": ["score"],
    }


# Keys


def test_a_key_is_sent_only_to_its_own_server(
    api: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", "another")
    engine = engine_at(api.url, accepts=STANDARD, key="OTHER_KEY")
    engine.model = KNOWS
    with pytest.raises(ServerRefusedError, match="HTTP 401") as error:
        list(engine.generate(plain_requests(1)))
    assert "another" not in str(error.value)
    engine = engine_at(api.url, accepts=STANDARD)  # OPENAI_API_KEY is set, and not named
    with pytest.raises(ServerRefusedError, match="HTTP 401"):
        list(engine.generate(plain_requests(1)))


@pytest.mark.parametrize("value", [None, "", " \n"])
def test_a_server_is_asked_nothing_without_its_key(
    api: ScriptedServer, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv(KEY)
    else:
        monkeypatch.setenv(KEY, value)
    with pytest.raises(InputError, match=rf"^\$OPENAI_API_KEY is not set: {api.url} wants"):
        list(engine_at(api.url, accepts=STANDARD, key=KEY).generate(plain_requests(3)))
    assert api.count() == 0


# What params.yaml may not say


def drop_server(content: dict[str, Any]) -> None:
    del content["engine"]["servers"]["openai"]


def model_at_server(**changes: Any) -> Change:
    return lambda c: c["serving"]["judge-api"]["server"].update(changes)


def settings(**changes: Any) -> Change:
    return lambda c: c["engine"]["servers"]["openai"].update(changes)


MISTAKES: list[tuple[Change, str]] = [
    (
        lambda c: c["train"].update(base="judge-api"),
        "train.base = 'judge-api': only a server has its weights; expected smollm2-135m",
    ),
    (
        lambda c: c["models"].update({"judge-api": {"served_model_name": 4}}),
        "models.judge-api.served_model_name = 4: should be a string; put it in quotes",
    ),
    (
        lambda c: c["models"].update({"judge-api": {"served_model_name": ""}}),
        "models.judge-api.served_model_name = '': expected one line of up to 200 characters "
        "without blanks",
    ),
    (
        lambda c: c["models"].update({"judge-api": {"served_model_name": "gpt\n\x1b[31m"}}),
        "models.judge-api.served_model_name = 'gpt\\n\\x1b[31m': expected one line",
    ),
    (
        model_at_server(revision=date(2025, 4, 14)),
        "serving.judge-api.server.revision = 2025-04-14: should be a string; put it in quotes",
    ),
    (
        model_at_server(revision=""),
        "serving.judge-api.server.revision = '': String should have at least",
    ),
    (settings(key=[VALUE]), "engine.servers.openai.key: expected null, or the name of an"),
    *(
        (
            settings(base_urls=[f"http://{address}/v1"]),
            "engine.servers.openai.base_urls.0: expected http(s)://host:port/path without",
        )
        for address in ("localhost:99999", "a:b:c", ":8000", "[::1", "a..b", "localhost:", "a b")
    ),
    (
        settings(base_urls=["https://api.openai.com/v1/chat/completions"]),
        "engine.servers.openai.base_urls.0: ends in /chat/completions, which is added",
    ),
    (
        lambda c: c["engine"]["servers"].update(
            {"my server": c["engine"]["servers"].pop("openai")}
        ),
        "engine.servers.my server",
    ),
    (
        drop_server,
        "serving.judge-api.server: none of engine.servers lists judge-api among its "
        "models; expected exactly one",
    ),
    (
        settings(models={"judge-api": None, "smollm2-135m": None}),
        "engine.servers.openai.models.smollm2-135m: serving.smollm2-135m has no server; "
        "expected judge-api",
    ),
    (
        lambda c: c["engine"]["servers"].update(second=c["engine"]["servers"]["openai"]),
        "engine.servers.second.models.judge-api: openai lists it too; expected one server a model",
    ),
    (
        settings(key=VALUE),
        "engine.servers.openai.key: expected null, or the name of an environment variable "
        "in capital letters, such as OPENAI_API_KEY; the key itself stays out of this file",
    ),
    (
        settings(models={"judge-api": {"prompt": -1.0, "completion": 1.6}}),
        "engine.servers.openai.models.judge-api.prompt = -1.0: should be greater than or "
        "equal to 0",
    ),
    (
        model_at_server(accepts=["temperature", "top_p"]),
        "serving.judge-api.server.accepts = ['temperature', 'top_p']: expected vllm, or a list "
        "of max_tokens, max_completion_tokens, temperature, top_p, seed, stop, response_format, "
        "reasoning_effort, logprobs, with exactly one of max_tokens and max_completion_tokens",
    ),
    (
        model_at_server(accepts="openai"),
        "serving.judge-api.server.accepts = 'openai': expected vllm, or",
    ),
    (
        model_at_server(accepts=["max_tokens", "top_k"]),
        "= ['max_tokens', 'top_k']: expected vllm, or a",
    ),
    (
        model_at_server(accepts=["max_tokens", "seed", "seed"]),
        "'seed', 'seed']: expected vllm, or a list",
    ),
    (
        model_at_server(accepts=["max_tokens", "top_p"]),
        "serving.judge-api.server.accepts: judge.llm: temperature = 0.6, but the server accepts "
        "no temperature; expected 1.0",
    ),
    (
        lambda c: c["judge"]["llm"].update(expectation=True),
        "serving.judge-api.server.accepts: judge.llm.expectation = true needs logprobs, which the "
        "server does not accept",
    ),
    (
        lambda c: c["serving"]["judge-api"].update(chat_format="s1"),
        "serving.judge-api.server.accepts: judge.llm: its chat format reads special tokens, "
        "which only vLLM leaves in a reply",
    ),
    (
        lambda c: c["serving"]["judge-api"].update(chat_format="gpt-oss"),
        "serving.judge-api.server.accepts: judge.llm: its chat format needs reasoning_effort, "
        "which the server does not accept",
    ),
    (
        lambda c: c["serving"].update({"judge-api": c["serving"]["smollm2-135m"]}),
        "serving.judge-api: models.judge-api has no weights here; expected chat_format, "
        "max_model_len, server",
    ),
    (
        lambda c: c["serving"].update({"smollm2-135m": c["serving"]["judge-api"]}),
        "serving.smollm2-135m.dtype is missing (it has weights here)",
    ),
    (
        lambda c: c["serving"]["judge-api"].update(dtype="float32"),
        "serving.judge-api.max_num_seqs is missing",
    ),
    (
        lambda c: c["engine"].update(kind="server"),
        "engine.kind = 'server': should be 'vllm' or 'ray'",
    ),
    (
        lambda c: c["judge"]["llm"].update(max_tokens=100_000),
        "judge.llm.max_tokens = 100000: serving.judge-api.max_model_len is 100000 with the prompt",
    ),
]


@pytest.mark.parametrize(("change", "message"), MISTAKES, ids=[row[1][:50] for row in MISTAKES])
def test_a_wrong_parameter_is_one_line_before_a_request(change: Change, message: str) -> None:
    content = read_all(ROOT / "profiles/smoke.yaml")
    judge_at_api(content, "http://127.0.0.1:1/v1", KEY)
    check_content(content, "params.yaml")
    change(content)
    with pytest.raises(InputError) as error:
        check_content(content, "params.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert VALUE not in str(error.value)


@pytest.mark.parametrize(
    "address",
    ["api.openai.com", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "node-1.cluster.", "node_1"],
)
def test_valid_urls_are_accepted(address: str) -> None:
    content = read_all(ROOT / "profiles/smoke.yaml")
    judge_at_api(content, f"https://{address}/v1/", KEY)
    check_content(content, "params.yaml")


def test_the_page_on_servers_shows_what_params_may_hold() -> None:
    page = (ROOT / "docs/servers.md").read_text()
    hosted, own = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    content = merged(read_all(ROOT / "profiles/smoke.yaml"), yaml.safe_load(hosted))
    serving = check_content(content, "docs/servers.md").serving["judge-api"]
    assert isinstance(serving, WeightlessServingParams)
    content["serving"]["policy"] |= yaml.safe_load(own)
    content["engine"]["servers"]["openai"]["models"]["policy"] = None
    check_content(content, "docs/servers.md")
    assert serving.server.accepts == STANDARD
    fields = {
        name for row in re.findall(r"^\| (`.*?) \|", page, re.M) for name in row.split("`")[1::2]
    }
    assert fields == set(get_args(FieldName))


def merged(content: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    for key, value in more.items():
        both = isinstance(value, dict) and isinstance(content.get(key), dict)
        content[key] = merged(content[key], value) if both else value
    return content
