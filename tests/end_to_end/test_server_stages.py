"""Stages with an engine for each model: generators in the process, the judge at a hosted API."""

import json
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from aiohttp import web

from delta.core import paths
from delta.core.console import Console
from delta.core.errors import IncompleteError, InputError
from delta.core.params import read_all
from delta.data import fetch
from delta.data.fetch import ModelParams
from delta.inference.types import Reply, Request, canonical_json
from stages import generate, judge, verify
from tests.helpers.import_closure import ROOT
from tests.helpers.plan_workspace import enter, write_problems, write_traces
from tests.helpers.scripted_server import ScriptedServer, answer, engine_at
from tests.helpers.strict_api import KEY, KNOWS, STANDARD, VALUE, judge_at_api, strict_api


class InProcess:
    """A fake vLLM engine. It is right for odd samples and counts its requests."""

    name = "toy"
    num_requests = 0

    def __init__(self, *_: object) -> None:
        self.chat_format = engine_at("http://127.0.0.1:1/v1").chat_format

    def render(self, messages: list[Any]) -> str:
        return canonical_json(messages)

    def num_tokens(self, text: str) -> int:
        return len(text)

    def generate(self, requests: Any) -> Iterator[tuple[Request, Reply]]:
        for request in requests:
            InProcess.num_requests += 1
            yield request, Reply(f"\\boxed{{{request.sample}}}", "stop", 7, 5)


@pytest.fixture
def space(tmp_path: Path, api: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a workspace with three problems, two samples each, and two votes a trace at an API."""
    folder = enter(tmp_path, monkeypatch)
    content = read_all(ROOT / "profiles/smoke.yaml")
    judge_at_api(content, api.url, KEY)
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    source = ModelParams(served_model_name=KNOWS)
    fetch.fetch("judge-api", source, paths.model("judge-api"), lambda _: None)
    write_problems(3)
    monkeypatch.setattr("delta.inference.vllm_engine.VllmEngine", InProcess)
    monkeypatch.setattr(InProcess, "num_requests", 0)
    return folder


@pytest.mark.usefixtures("space")
def test_generators_answer_in_the_process_and_the_judge_at_its_api(api: ScriptedServer) -> None:
    screen = StringIO()
    for stage in (generate, verify, judge):
        stage.main(Console(screen), "zero-shot")
    assert InProcess.num_requests == 3 * 2
    assert api.count() == 3 * 2 * 2
    ratings = pl.read_parquet(paths.ratings("zero-shot"))
    assert ratings["votes"].to_list() == [[4, 4]] * 3 * 2 * 5
    assert set(ratings["judge"]) == {"judge-api"}
    counts = json.loads((paths.counts("judge", "zero-shot")).read_text())
    engine = counts["judge"]["zero-shot"]["engine"]
    assert engine == f"endpoint 2025-04-14 {','.join(sorted(STANDARD))}"
    assert VALUE not in screen.getvalue()
    generate.main(Console(screen), "zero-shot")
    judge.main(Console(screen), "zero-shot")
    assert (InProcess.num_requests, api.count()) == (6, 0)


@pytest.fixture
def rate(space: Path) -> Callable[..., dict[str, Any]]:
    """Return a function that changes params.yaml, judges three traces and returns the counts."""
    problems = pl.read_parquet(space / paths.PROBLEMS)
    write_traces("zero-shot", problems, ["\\boxed{1}"] * 3)

    def judge_it(**changes: Any) -> dict[str, Any]:
        content = read_all(Path("params.yaml"))
        content["engine"]["servers"]["openai"] |= changes.pop("settings", {})
        content["serving"]["judge-api"]["server"] |= changes.pop("server", {})
        content["engine"] |= changes
        Path("params.yaml").write_text(yaml.safe_dump(content))
        judge.main(Console(StringIO()), "zero-shot")
        counts = json.loads((paths.counts("judge", "zero-shot")).read_text())
        judge_counts: dict[str, Any] = counts["judge"]["zero-shot"]
        return judge_counts

    return judge_it


def test_cached_replies_need_no_key_and_an_address_is_no_part_of_a_request(
    api: ScriptedServer, rate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rate()
    assert api.count() == 6
    monkeypatch.delenv(KEY)
    prices = {"judge-api": {"prompt": 9.0, "completion": 9.0}}
    rate(settings={"base_urls": ["http://127.0.0.1:1/v1"], "models": prices, "concurrency": 1})
    with pytest.raises(InputError, match=r"^\$OPENAI_API_KEY is not set"):
        rate(settings={"base_urls": [api.url]}, server={"revision": "2026-01-01"})
    assert api.count() == 0
    monkeypatch.setenv(KEY, VALUE)
    rate()
    assert api.count() == 6


def test_failed_requests_of_an_api_count_against_max_failed_of_the_stage(
    api: ScriptedServer, rate: Callable[..., Any]
) -> None:
    good = strict_api(VALUE)

    async def sometimes(request: web.Request) -> web.StreamResponse:
        return web.Response(status=400) if len(api.seen) == 1 else await good(request)

    api.raw = sometimes
    with pytest.raises(
        IncompleteError, match=r"1 of 6 requests failed, expected at most the fraction 0\.0"
    ):
        rate(settings={"concurrency": 1})
    api.count()
    counts = rate(max_failed=0.5)
    assert sum(counts["failed"].values()) == 1
    assert (counts["replies_failed"], counts["refused"]) == (1, 0)  # its vote was asked for again


def test_votes_of_an_api_that_returns_reasoning_count(
    api: ScriptedServer, rate: Callable[..., Any]
) -> None:
    async def reasons(request: web.Request) -> web.StreamResponse:
        body = json.loads(answer(await request.json()).text or "")
        body["choices"][0]["message"]["reasoning_content"] = "Step 1 is {right}: a 4."
        return web.json_response(body)

    api.raw = reasons
    counts = rate()
    assert (counts["votes"], counts["replies_invalid"]) == (6, 0)
