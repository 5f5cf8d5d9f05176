"""A workspace for tests of the plan, with toy parameters, tables, weights and replies."""

import json
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from delta.check import Params
from delta.core import paths, tables
from delta.core.fingerprint import read_fingerprint, write_fingerprint
from delta.core.params import read_all, validate
from delta.core.schemas import PROBLEM, TRACE, VERDICT
from delta.inference import generate
from delta.inference.engine import open_engine
from delta.inference.reply_cache import open_reply_cache
from delta.inference.types import Request
from delta.plan.dvc_state import Stage
from delta.plan.pending import pending_requests
from delta.plan.requests import RequestGroup, Workspace, count_requests
from delta.prompts import prompt_files
from tests.helpers.import_closure import ROOT
from tests.helpers.pipeline_workspace import use_server

MODEL = "smollm2-135m"


def params_with(change: Callable[[dict[str, Any]], object] = lambda _: None) -> Params:
    """Return the smoke profile with a server, which needs no tokenizer."""
    content = read_all(ROOT / "profiles" / "smoke.yaml")
    use_server(content, "http://127.0.0.1:1/v1", MODEL, paths.POLICY)
    change(content)
    return validate("", Params, content)


def stage(name: str, *before: str, changed: tuple[str, ...] = (), data: bool = False) -> Stage:
    return Stage(name, before, changed, data)


def up_to_date(*names: str) -> dict[str, Stage]:
    return {name: stage(name) for name in names}


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to `folder`, give it a reply cache of its own, and write a model."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DELTA_REPLY_CACHE", str(folder / "replies"))
    write_weights(paths.model(MODEL), {"w": ("BF16", [10, 4])})
    return folder


def write_weights(folder: Path, tensors: dict[str, tuple[str, list[int]]]) -> str:
    """Write a model folder whose weights file is only a header."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for name, (dtype, shape) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]}
    text = json.dumps(header).encode()
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    config = {"num_hidden_layers": 3, "num_attention_heads": 8, "hidden_size": 64}
    (folder / "config.json").write_text(json.dumps(config | {"num_key_value_heads": 2}))
    for name in ("tokenizer_config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    return write_fingerprint(folder, "toy")


def write_problems(number: int) -> pl.DataFrame:
    rows = [
        {
            "problem_id": f"toy.{n}",
            "statement": f"{n} + 1 = ?",
            "prompt": prompt_files.with_instruction(f"{n} + 1 = ?"),
            "history": [],
            "gold_answer": str(n + 1),
            "source": "toy",
            "domain": "sums",
            "metadata": "{}",
        }
        for n in range(number)
    ]
    frame = tables.frame_of(rows, PROBLEM)
    tables.write(paths.PROBLEMS, frame, PROBLEM)
    return frame


def write_traces(generator: str, problems: pl.DataFrame, texts: Iterable[str]) -> None:
    """Write one trace of each problem with its verdict."""
    rows, verdicts = [], []
    for problem_id, text in zip(problems["problem_id"], texts, strict=True):
        rows.append(
            {
                "trace_id": f"{problem_id}/{generator}/0",
                "problem_id": problem_id,
                "generator": generator,
                "sample": 0,
                "text": text,
                "reasoning_start": 0,
                "reasoning_end": 0,
                "answer_start": 0,
                "finish_reason": "stop",
                "prompt_tokens": 30,
                "completion_tokens": 20,
                "recorded_outcome": None,
            }
        )
        right = text == "\\boxed{1}"
        verdicts.append(
            {
                "trace_id": rows[-1]["trace_id"],
                "outcome": "correct" if right else "incorrect",
                "extracted": "1",
                "reason": None if right else "different",
                "decided_by": "grader",
            }
        )
    tables.write(paths.traces(generator), tables.frame_of(rows, TRACE), TRACE)
    tables.write(paths.verdicts(generator), tables.frame_of(verdicts, VERDICT), VERDICT)


def put(item: str, requests: Iterable[Request], text: str = "4") -> None:
    """Put replies with 30 and 20 tokens into the reply cache of `item`."""
    with open_reply_cache(item, read_fingerprint(paths.model(MODEL)), print) as cache:
        for request in requests:
            reply = {
                "text": text,
                "finish_reason": "stop",
                "prompt_tokens": 30,
                "completion_tokens": 20,
            }
            cache.put(request.key(), reply)


def trace_requests(params: Params, name: str, problems: pl.DataFrame) -> list[Request]:
    """Return the requests of a generator in a run."""
    generator = params.generators[name]
    assert isinstance(generator, generate.SampledParams)
    folder = paths.model(MODEL)
    engine = open_engine(params.engine, params.serving[MODEL], folder)
    fingerprint = read_fingerprint(folder)
    return [
        request for _, request in generate.trace_requests(generator, engine, fingerprint, problems)
    ]


def request_groups(params: Params, stages: dict[str, Stage], name: str) -> list[RequestGroup]:
    """Return the request groups of the stage `name`."""
    workspace = Workspace(params, stages)
    pending = [item for item in pending_requests(workspace) if item.group.stage == name]
    groups = [count_requests(workspace, item, 0.1) for item in pending]
    assert workspace.notes == []
    return groups
