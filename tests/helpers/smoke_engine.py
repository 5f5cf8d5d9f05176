"""vLLM in this process with the engine and serving options of the smoke profile."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from delta.check import check
from delta.core import fingerprint
from delta.inference.config import ServingParams
from delta.inference.types import Request
from delta.inference.vllm_engine import VllmEngine
from tests.helpers.import_closure import ROOT

SMOKE = ROOT / "profiles" / "smoke.yaml"


def open_engine(model: Path) -> VllmEngine:
    params = check(SMOKE)
    serving = params.serving[model.name]
    assert isinstance(serving, ServingParams)
    return VllmEngine(params.engine.vllm, serving, model)


def some_requests(engine: VllmEngine, model: Path, **changes: Any) -> list[Request]:
    """Return six samples of one request, with some fields changed."""
    request = Request(
        model=fingerprint.read_fingerprint(model),
        engine=engine.name,
        prompt=engine.render(engine.chat_format.messages("What is 3 + 4?")),
        temperature=0.8,
        top_p=1.0,
        max_tokens=24,
        seed=1,
        sample=0,
    )
    return [replace(request, sample=sample, **changes) for sample in range(6)]
