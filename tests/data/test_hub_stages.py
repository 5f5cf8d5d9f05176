"""The stages that read from the hub, and the plan, run with it and then from its cache alone."""

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from safetensors.torch import load_file, save

from tests.helpers import benchmark_rows
from tests.helpers.hub_client import hub_environment
from tests.helpers.hub_server import Hub, serve_hub
from tests.helpers.import_closure import ROOT
from tests.helpers.tiny_model_families import write_model_family
from tests.helpers.workspace import DvcWorkspace

COMMIT = "1" * 40
PIN = {"repository": "own/hub", "revision": COMMIT}
STAGES = (("fetch", "toy"), ("questions", "math"), ("problems",))
OUTPUTS = ("data/models/toy", "data/questions/math.parquet", "data/problems.parquet")

pytestmark = pytest.mark.slow


def sharded_model(folder: Path) -> dict[str, bytes]:
    """Return the files of a tiny model in two shards."""
    write_model_family(folder, "s1", seed=1)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    shards = {
        "model-00001-of-00002.safetensors": names[::2],
        "model-00002-of-00002.safetensors": names[1::2],
    }
    for shard, keys in shards.items():
        files[shard] = save({key: weights[key] for key in keys}, metadata={"format": "pt"})
    index = {"weight_map": {key: shard for shard, keys in shards.items() for key in keys}}
    del files["model.safetensors"]
    return files | {"model.safetensors.index.json": json.dumps(index).encode()}


def parquet(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(rows).write_parquet(file)
    return file.getvalue()


def fill(hub: Hub, folder: Path) -> None:
    hub.add("model", "own/hub", COMMIT, sharded_model(folder))
    rows = {
        f"data/train-0000{number}-of-00003.parquet": parquet([row])
        for number, row in enumerate(benchmark_rows.GSM8K)
    }
    lines = "".join(json.dumps(row) + "\n" for row in benchmark_rows.MATH_500)
    hub.add("dataset", "own/hub", COMMIT, rows | {"test.jsonl": lines.encode()})


def use_hub(content: dict[str, Any]) -> None:
    content["models"]["toy"] = {"hub": PIN | {"code": False}}
    content["serving"]["toy"] = content["serving"]["smollm2-135m"] | {"chat_format": "s1"}
    rows = {"hub": PIN | {"config": None, "split": "train"}}
    content["problems"]["sources"] = {"rows": {"math": {"format": "gsm8k", "data": rows}}}
    questions = {"format": "math-500", "data": {"files": PIN | {"files": ["test.jsonl"]}}}
    benchmark = {"group": "hard", "samples": 1, "questions": None, "max_tokens": 32}
    content["benchmarks"] = {"math": benchmark | {"source": questions}}


def run_stages(space: DvcWorkspace) -> dict[str, bytes]:
    """Run the stages and return all their outputs."""
    shutil.rmtree(space.folder / "data", ignore_errors=True)
    for stage, *item in STAGES:
        space.run("python", "-m", f"stages.{stage}", *item)
    outputs = {}
    for name in OUTPUTS:
        path = space.folder / name
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            outputs[str(file.relative_to(space.folder))] = file.read_bytes()
    return outputs


def test_stages_and_plan_run_with_the_hub_and_then_from_its_cache(tmp_path: Path) -> None:
    space = DvcWorkspace(tmp_path / "space", ROOT / "profiles/smoke.yaml")
    space.edit(use_hub)
    space.commit()
    plan = ("python", "-m", "delta", "plan")
    own = {name: value for name, value in space.env.items() if not name.startswith("HF_")}
    path = {"PATH": space.env["PATH"], "PYTHONPATH": os.fspath(space.folder)}

    with serve_hub() as hub:
        fill(hub, tmp_path / "model")
        space.env = own | hub_environment(hub, tmp_path / "home") | path
        assert "on the hub: own/hub" in space.run(*plan)
        online = run_stages(space)
    assert len(pl.read_parquet(space.folder / "data/problems.parquet")) == len(benchmark_rows.GSM8K)
    assert "data/models/toy/model-00002-of-00002.safetensors" in online
    space.env = own | hub_environment(None, tmp_path / "home") | path
    assert run_stages(space) == online
    shutil.rmtree(space.folder / "data")
    assert "in the local cache: own/hub" in space.run(*plan)
    shutil.rmtree(tmp_path / "home")
    assert "HF_HUB_OFFLINE is set, the cache lacks it" in space.run(*plan)
