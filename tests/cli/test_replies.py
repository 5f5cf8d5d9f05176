"""One start of an engine fills the reply caches of all items of a stage that ask its model."""

import importlib
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from delta import check
from delta.check import Params
from delta.cli import replies
from delta.core import params as params_file
from delta.core import paths, tables
from delta.core.console import Console
from delta.core.fingerprint import FINGERPRINT_FILE
from delta.core.schemas import QUESTION
from delta.inference import reply_cache
from delta.inference.generate import SampledParams, trace_requests
from delta.inference.model_client import ModelClient
from delta.inference.types import Request
from delta.plan import dvc_state
from delta.plan.dvc_state import UP_TO_DATE, Stage
from delta.plan.requests import Workspace
from tests.helpers.import_closure import ROOT
from tests.helpers.judge_replies import constant_reply
from tests.helpers.plan_workspace import MODEL, enter, write_problems, write_traces
from tests.helpers.toy_engine import ToyEngine

SMOKE = check.check(ROOT / "profiles" / "smoke.yaml")
GENERATORS = ("zero-shot", "one-shot", "three-shot")
WRONG = "1 + 1 = 3. \\boxed{3}"


def smoke(**changes: Any) -> Params:
    """Return the smoke profile, whose model is here, with changed parameters."""
    content = params_file.read_all(ROOT / "profiles" / "smoke.yaml")
    for path, value in changes.items():
        section, _, key = path.partition("__")
        content[section][key] = value
    return params_file.validate("", Params, content)


def all_pending(*up_to_date: str) -> dict[str, Stage]:
    """Return the asking items, which would run, and stages before them that are up to date."""
    names = [f"{stage}@{name}" for stage in ("generate", "verify", "judge") for name in GENERATORS]
    names += [f"evaluate@{name}" for name in SMOKE.evaluation.models]
    stages = {name: Stage(name, ("problems",), (), False, "runs") for name in names}
    return stages | {name: Stage(name, (), (), False, UP_TO_DATE) for name in up_to_date}


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(dvc_state, "restorable", lambda _: set())
    return enter(tmp_path, monkeypatch)


def fill(
    monkeypatch: pytest.MonkeyPatch, params: Params, stage: str, engine: ToyEngine, *caches: str
) -> str:
    """Fill these caches by the engine and return the result. It is opened once."""
    opened = []

    def open_model(name: str) -> ModelClient:
        opened.append(name)
        return ModelClient(engine, "f" * 64, 2_000, params.engine)

    monkeypatch.setattr(replies, "open_model", open_model)
    workspace = Workspace(params, all_pending("problems"))
    text = replies.fill_caches(Console(io.StringIO()), workspace, stage, MODEL, caches)
    assert opened == [MODEL]
    return text


def cached(item: str, requests: Iterable[Request]) -> list[str | None]:
    """Return the replies that an item would find, None for those that it would ask for."""
    with reply_cache.open_reply_cache(item, "f" * 64, print) as cache:
        found = [cache.reply(request.key()) for request in requests]
    return [None if reply is None else reply.text for reply in found]


def models(params: Params, stage: str, stages: dict[str, Stage]) -> dict[str, list[str]]:
    shared = replies.shared_models(params, stages, stage)
    return {model: [entry.cache for entry in entries] for model, entries in shared.items()}


def test_a_model_is_shared_where_two_or_more_pending_items_ask_it() -> None:
    stages = all_pending()
    assert models(SMOKE, "generate", stages) == {
        MODEL: ["generate-zero-shot", "generate-one-shot", "generate-three-shot"]
    }
    # No policy: one item asks it.
    assert models(SMOKE, "evaluate", stages) == {
        MODEL: ["evaluate-zero-shot", "evaluate-one-shot", "evaluate-three-shot"]
    }
    assert models(SMOKE, "verify", stages) == models(SMOKE, "judge", stages) == {}
    done = {f"generate@{name}": Stage("", (), (), False, UP_TO_DATE) for name in GENERATORS[:2]}
    assert models(SMOKE, "generate", stages | done) == {}


def test_both_judges_and_the_comparison_of_answers_share_their_model() -> None:
    second = SMOKE.judge.second_judge.model_dump() | {"rater": "llm"}
    params = smoke(verify__llm_fallback=True, judge__rater="llm", judge__second_judge=second)
    stages = all_pending()
    assert models(params, "judge", {"judge@one-shot": stages["judge@one-shot"]}) == {
        MODEL: ["judge-one-shot", "second-one-shot"]
    }
    assert models(params, "verify", stages) == {MODEL: [f"verify-{name}" for name in GENERATORS]}


def test_a_model_at_a_server_has_nothing_to_load() -> None:
    served = SMOKE.serving[MODEL].model_copy(update={"server": object()})
    params = SMOKE.model_copy(update={"serving": SMOKE.serving | {MODEL: served}})
    assert models(params, "generate", all_pending()) == {}


def test_items_that_wait_lack_the_model_or_would_be_restored_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stages = all_pending("problems")
    asked = replies.shared_models(SMOKE, stages, "generate")
    monkeypatch.setattr(dvc_state, "restorable", lambda _: set())
    assert replies.ready_items(asked, stages) == {}
    folder = paths.model(MODEL)
    folder.mkdir(parents=True)
    (folder / FINGERPRINT_FILE).touch()
    assert len(replies.ready_items(asked, stages)[MODEL]) == 3
    monkeypatch.setattr(dvc_state, "restorable", lambda _: {"generate@one-shot"})
    (entries,) = replies.ready_items(asked, stages).values()
    assert [entry.item for entry in entries] == ["generate@zero-shot", "generate@three-shot"]
    waits = stages | {"problems": Stage("problems", (), (), False, "runs")}
    assert replies.ready_items(asked, waits) == {}


@pytest.mark.usefixtures("space")
def test_the_items_find_every_reply_and_a_second_time_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problems = write_problems(3)
    engine = ToyEngine(lambda request: f"{request.seed}/{request.sample}")
    caches = [f"generate-{name}" for name in GENERATORS]
    # Two samples of three problems from each of three generators.
    assert fill(monkeypatch, SMOKE, "generate", engine, *caches) == f"{MODEL}: 18 new for 3 items"
    assert len(engine.requested) == 18
    for name, seed in zip(GENERATORS, (1, 2, 3), strict=True):
        generator = SMOKE.generators[name]
        assert isinstance(generator, SampledParams)
        requests = [request for _, request in trace_requests(generator, engine, "f" * 64, problems)]
        assert cached(f"generate-{name}", requests) == [f"{seed}/0", f"{seed}/1"] * 3
    assert fill(monkeypatch, SMOKE, "generate", engine, *caches) == f"{MODEL}: 0 new for 3 items"
    assert len(engine.requested) == 18


@pytest.mark.usefixtures("space")
def test_replies_without_a_verdict_are_asked_again_as_the_item_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Graded here: only a finished trace whose box is wrong goes to the model."""
    problems = write_problems(2)
    for name in GENERATORS:
        write_traces(name, problems, ["\\boxed{1}", WRONG])
    engine = ToyEngine(lambda request: "Verdict: DIFFERENT" if request.attempt else "Well.")
    params = smoke(verify__llm_fallback=True)
    text = fill(monkeypatch, params, "verify", engine, "verify-zero-shot", "verify-one-shot")
    assert text == f"{MODEL}: 4 new for 2 items"
    assert engine.requested == [(0, 0), (0, 1), (0, 0), (0, 1)]


@pytest.mark.parametrize("stage", ["generate", "verify", "judge", "evaluate"])
def test_the_stage_itself_then_asks_nothing(
    stage: str, space: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = params_file.read_all(ROOT / "profiles" / "smoke.yaml")
    content["verify"]["llm_fallback"] = True
    content["judge"]["rater"] = content["judge"]["second_judge"]["rater"] = "llm"
    content["grading"]["max_ungradable"] = content["judge"]["max_refused"] = 1.0
    del content["benchmarks"]["humaneval"]  # needs a sandbox
    (space / "params.yaml").write_text(json.dumps(content))
    problems = write_problems(2)
    write_traces("zero-shot", problems, ["\\boxed{1}", WRONG])
    for name in content["benchmarks"]:
        size = content["benchmarks"][name]["questions"]
        row = {"statement": "", "history": [], "gold_answer": "2", "grader": "math"}
        row |= {"metadata": "{}"}
        rows = [row | {"question_id": f"{name}.{n}", "prompt": f"{n} + 1?"} for n in range(size)]
        tables.write(paths.questions(name), tables.frame_of(rows, QUESTION), QUESTION)

    def answer(request: Request) -> str:
        if request.schema is not None:  # the judges; one in two replies is no vote
            return constant_reply(3, "fine", []) if request.attempt or request.sample else "{}"
        return "Verdict: DIFFERENT" if request.attempt else "Well."

    engine = ToyEngine(answer)
    params = check.check()
    caches = [
        f"{cache}-zero-shot" for cache in ([stage, "second"] if stage == "judge" else [stage])
    ]
    fill(monkeypatch, params, stage, engine, *caches)
    asked = len(engine.requested)
    assert asked > 0
    module = importlib.import_module(f"stages.{stage}")
    client = ModelClient(engine, "f" * 64, 2_000, params.engine)
    asker = "delta.judging.rate_traces" if stage == "judge" else module.__name__
    monkeypatch.setattr(f"{asker}.open_model", lambda _: client)
    console = Console(io.StringIO())
    module.main(console, "zero-shot")
    if stage == "judge":
        module.main(console, "zero-shot", "second")
    assert len(engine.requested) == asked


@pytest.mark.usefixtures("space")
def test_all_benchmarks_of_a_model_are_asked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    questions = pl.DataFrame({"prompt": ["1 + 1?", "1 + 2?"], "history": [[], []]})
    history = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
    table = questions.with_columns(pl.col("history").cast(history), question_id=pl.col("prompt"))
    monkeypatch.setattr("delta.plan.pending.read_current_table", lambda *_: table)
    calls = []

    class Counted(ToyEngine):
        def generate(self, requests: Iterable[Request]) -> Any:
            calls.append(1)
            return super().generate(requests)

    engine = Counted(lambda _: "2")
    fill(monkeypatch, SMOKE, "evaluate", engine, "evaluate-zero-shot", "evaluate-one-shot")
    assert len(calls) == 2  # one for each item
    assert len(engine.requested) >= 2 * 2 * len(SMOKE.benchmarks)


def test_several_models_have_a_process_each_and_the_first_failure_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "python"
    stand_in.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "calls"}\n[ "$5" != second ]\n')
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))
    with pytest.raises(SystemExit) as end:
        replies._run_in_processes("judge", ["first", "second", "third"])
    assert end.value.code == 1
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["-m delta replies judge first", "-m delta replies judge second"]


def test_a_killed_command_ends_the_process_of_its_model(tmp_path: Path) -> None:
    stand_in = tmp_path / "python"
    stand_in.write_text(f"#!/bin/sh\necho $$ > {tmp_path / 'pid'}\nexec sleep 600\n")
    stand_in.chmod(0o755)
    code = "import sys; from delta.cli import replies; "
    code += (
        f"sys.executable = {json.dumps(str(stand_in))}; replies._run_in_processes('judge', ['a'])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    until = time.monotonic() + 60
    while not (tmp_path / "pid").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    child = Path("/proc", (tmp_path / "pid").read_text().strip(), "stat")
    while child.exists() and child.read_text().split()[2] != "Z" and time.monotonic() < until:
        time.sleep(0.05)
    assert not child.exists() or child.read_text().split()[2] == "Z"


def test_the_log_is_named_after_stage_and_model() -> None:
    from delta.cli import command_line

    options = command_line.parse(replies, ["judge", "tiny"])
    assert replies.log_name(options) == "replies-judge-tiny"
    assert replies.log_name(command_line.parse(replies, ["judge"])) == "replies-judge"
