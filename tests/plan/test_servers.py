"""Models at servers in a plan: requests, dollars and keys, computed by hand."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from delta.check import Params
from delta.core import paths
from delta.core.console import Console
from delta.core.params import read_all, validate
from delta.data import fetch
from delta.data.fetch import ModelParams
from delta.plan import availability, costs, render
from delta.plan.costs import Cost, Tokens
from delta.plan.dvc_state import Stage
from delta.plan.plan import GpuNode, plan
from delta.plan.requests import RequestGroup
from delta.plan.speeds import Gpu
from stages import judge
from tests.helpers.import_closure import ROOT
from tests.helpers.plan_workspace import MODEL, enter, stage, write_problems, write_traces
from tests.helpers.scripted_server import run_server
from tests.helpers.strict_api import KNOWS, judge_at_api, strict_api

KEY = "OPENAI_API_KEY"
H100 = Gpu(gib=80, tflops=989)
URL = "http://127.0.0.1:1/v1"


def content_with(url: str, **server: Any) -> dict[str, Any]:
    """Return the smoke profile with its judge at an API."""
    content = read_all(ROOT / "profiles/smoke.yaml")
    judge_at_api(content, url, KEY)
    content["engine"]["servers"]["openai"] |= server
    return content


def params_of(content: dict[str, Any]) -> Params:
    return validate("", Params, content)


def priced(params: Params, *groups: RequestGroup) -> list[Cost]:
    return [costs.request_cost(params, group, None, H100) for group in groups]


def judged(name: str, total: int | None, cached: int = 0) -> RequestGroup:
    basis = "exact" if total is not None else "unknown"
    return RequestGroup("judge", name, "judge-api", 5, 1_200, total, cached, basis, 1_000, 300)


IN_PROCESS = RequestGroup("generate", "zero-shot", MODEL, 2, 32, 100, 0, "exact")


def test_a_bill_counts_a_prompt_as_often_as_it_is_sent() -> None:
    params = params_of(content_with(URL))
    item = judged("zero-shot", total=20_010, cached=10)
    # 20,000 requests share 4,002 prompts of 1,000 tokens.
    assert costs.request_tokens(params, item) == Tokens(
        read=4_002_000, sent=20_000_000, written=6_000_000, at_most=24_000_000
    )
    price = params.engine.servers["openai"].models["judge-api"]
    assert price is not None
    # 20 x 0.40 + 6 x 1.60, and 20 x 0.40 + 24 x 1.60
    bill = costs.server_bill(Tokens(0, 20e6, 6e6, 24e6), price)
    assert [round(usd, 6) for usd in bill] == [17.6, 46.4]


def test_each_model_has_a_line_with_its_server_and_its_bill(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(KEY, "x")
    items = [IN_PROCESS, judged("zero-shot", 20_010, cached=10), judged("one-shot", 20_000)]
    params = params_of(content_with(URL))
    section = render.server_section(params, priced(params, *items))
    assert [line.split() for line in section.lines[:4]] == [
        ["Requests", "by", "model"],
        ["asked", "at", "requests", "cached", "to", "ask", "number", "USD", "at", "most"],
        [MODEL, "this", "run's", "engine", "100", "0", "100", "exact", "-", "-"],
        ["judge-api", "openai", "40,010", "10", "40,000", "exact", "35.20", "92.80"],
    ]
    (total,) = render.total_section(params, priced(params, *items), []).lines
    assert total.endswith(", 35.20 USD to servers (at most 92.80).")
    assert (section.blocks, section.not_checked) == ([], [])


def test_without_servers_there_is_no_bill() -> None:
    params = params_of(content_with(URL))
    section = render.server_section(params, priced(params, IN_PROCESS))
    assert (section.lines, section.blocks) == ([], [])
    (total,) = render.total_section(params, priced(params, IN_PROCESS), []).lines
    assert total.endswith(" of training.")


@pytest.mark.parametrize(
    ("price", "total", "money", "not_checked"),
    [
        (None, 20_000, ["?", "?"], ["what judge-api costs: engine.servers.openai.models"
                                    ".judge-api has no price"]),
        (None, 0, ["0.00", "0.00"], []),
        ({"prompt": 0.4, "completion": 1.6}, None, ["?", "?"], []),
        ({"prompt": 0.0, "completion": 0.0}, 20_000, ["0.00", "0.00"], []),
    ],
)  # fmt: skip
def test_an_unknown_price_is_not_zero(
    price: dict[str, float] | None,
    total: int | None,
    money: list[str],
    not_checked: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(KEY, "x")
    params = params_of(content_with(URL, models={"judge-api": price}))
    section = render.server_section(params, priced(params, judged("zero-shot", total)))
    assert section.lines[2].split()[-2:] == money
    assert section.not_checked == not_checked


def test_a_missing_key_blocks_only_requests_left_to_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(KEY, raising=False)
    params = params_of(content_with(URL))
    section = render.server_section(params, priced(params, judged("zero-shot", 20, cached=20)))
    assert section.blocks == []
    section = render.server_section(params, priced(params, judged("zero-shot", None)))
    assert section.blocks == [
        f"$OPENAI_API_KEY is not set: {URL} wants the key that this environment variable holds"
    ]


def test_a_whole_plan_counts_cached_replies_of_an_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two votes for three traces are stored, with prompts of 3 and replies of 4 tokens. A third
    vote is 3 requests: 3 x 3 x 0.1 + 3 x 4 x 0.2 USD, and at most 3 x 3 x 0.1 + 3 x 1,200 x 0.2.
    """
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv(KEY, "x")
    write_traces("zero-shot", write_problems(3), ["\\boxed{1}"] * 3)
    source = ModelParams(served_model_name=KNOWS)
    fetch.fetch("judge-api", source, paths.model("judge-api"), lambda _: None)
    with run_server() as server:
        server.raw = strict_api("x")
        price = {"prompt": 100_000.0, "completion": 200_000.0}
        content = content_with(server.url, models={"judge-api": price})
        Path("params.yaml").write_text(yaml.safe_dump(content))
        judge.main(Console(StringIO()), "zero-shot")
        assert server.count() == 6
    content["judge"]["llm"]["votes"] = 3
    params = validate("", Params, content)

    def ask_dvc() -> list[Stage]:
        others = [f"{kind}@{name}" for kind in ("generate", "verify") for name in params.generators]
        others += [f"judge@{name}" for name in ("one-shot", "three-shot")]
        others += [f"evaluate@{name}" for name in params.evaluation.models]
        done = [f"fetch@{MODEL}", "fetch@judge-api", "problems", "certify", "train", *others]
        changed = stage("judge@zero-shot", changed=("params.yaml:judge.llm.votes",))
        return [*(stage(name) for name in done), changed._replace(state="runs")]

    lines = plan(
        params,
        ask_dvc,
        availability.ask_hub,
        lambda _: False,
        offline=True,
        node=GpuNode(H100),
        configurations=[],
    )
    (row,) = [line.split() for line in lines if line.startswith("  judge-api ")]
    assert row == ["judge-api", "openai", "9", "6", "3", "exact", "3.30", "720.90"]
    (total,) = [line for line in lines if line.startswith("In all: ")]
    assert total.endswith(", 3.30 USD to servers (at most 720.90).")
    assert max(map(len, lines)) <= 100
