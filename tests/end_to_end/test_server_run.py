"""Runs under DVC with an engine for each model; stages rerun when the judge's server changes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.fake_server import FakeServer
from tests.helpers.import_closure import ROOT
from tests.helpers.pipeline_workspace import configure
from tests.helpers.scripted_server import run_server
from tests.helpers.strict_api import judge_at_api, strict_api
from tests.helpers.tiny_model_families import write_model_family
from tests.helpers.tiny_models import write_model
from tests.helpers.workspace import DvcWorkspace, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
KEY, VALUE = "OPENAI_API_KEY", "sk-a-value-that-nobody-may-see"
JUDGED = "judge@zero-shot"


def test_vllm_generates_in_the_process_and_an_api_judges(tmp_path: Path) -> None:
    """The run has 16 problems, two traces of each, and two votes on a trace."""
    write_model_family(tmp_path / "model", "plain")
    with run_server() as api:
        api.raw = strict_api(VALUE)
        space = DvcWorkspace(tmp_path / "space", ROOT / "profiles/smoke.yaml")
        configure(space, "http://127.0.0.1:1/v1", tmp_path / "model")

        def change(content: dict[str, Any]) -> None:
            for model in ("tiny", "policy"):
                del content["serving"][model]["server"]
            content["engine"]["servers"] = {}
            judge_at_api(content, api.url, KEY)

        space.edit(change)
        space.env[KEY] = VALUE
        space.dvc("repro", JUDGED)
        counts = json.loads((space.folder / "data/counts/judge/zero-shot.json").read_text())
        generated = json.loads((space.folder / "data/counts/generate/zero-shot.json").read_text())
        assert generated["generate"]["zero-shot"]["engine"].startswith("vllm")
        assert counts["judge"]["zero-shot"]["engine"].startswith("endpoint 2025-04-14 ")
        assert counts["judge"]["zero-shot"]["votes"] == api.count() == 16 * 2 * 2


def test_a_judge_at_an_api_reruns_for_another_model_and_not_for_another_address(
    tmp_path: Path,
) -> None:
    """The run has 16 problems, two traces of each, and two votes on a trace."""
    write_model(tmp_path / "model")
    with FakeServer() as own, run_server() as api:
        api.raw = strict_api(VALUE)
        space = DvcWorkspace(tmp_path / "space", ROOT / "profiles/smoke.yaml")
        configure(space, own.url, tmp_path / "model")
        space.edit(lambda content: judge_at_api(content, api.url, KEY))
        space.env.pop(KEY, None)
        output = space.dvc("repro", JUDGED, ok=False)
        assert f"$OPENAI_API_KEY is not set: {api.url} wants the key" in output
        assert (len(own.requests), api.count()) == (0, 0)  # before any generation

        space.env[KEY] = VALUE
        assert stages_run(space.dvc("repro", JUDGED))[-1] == JUDGED
        assert (len(own.requests), api.count()) == (32, 64)
        for path in [*space.folder.glob("logs/*"), *space.folder.glob("data/counts/**/*.json")]:
            assert VALUE not in path.read_text(errors="replace")

        def reach(content: dict[str, Any]) -> None:
            server = content["engine"]["servers"]["openai"]
            server |= {"concurrency": 1, "models": {"judge-api": None}}

        space.edit(reach)
        assert stages_run(space.dvc("repro", JUDGED)) == []

        space.set("serving.judge-api.server.revision", "another")
        assert stages_run(space.dvc("repro", JUDGED)) == [JUDGED]
        assert (len(own.requests), api.count()) == (32, 64)
