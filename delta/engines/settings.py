"""Which engine answers, with which settings, and how it samples. Opening one costs nothing yet."""

from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import Field

from delta.engines import Ask, Request
from delta.params import Section
from delta.records import Message

Positive = Annotated[int, Field(ge=1)]


class VllmSettings(Section):
    """vLLM in this process, on the GPU where there is one, else on the CPU."""

    dtype: Literal["float32", "bfloat16", "float16"]
    max_model_len: Positive  # tokens, prompt and reply
    max_num_seqs: Positive  # requests that the engine works on at once
    kv_cache_gib: Annotated[float, Field(gt=0)]
    enforce_eager: bool
    chunked_prefill: bool  # must be off on the CPU, where it breaks seeds


class EndpointSettings(Section):
    """An OpenAI-compatible server; a model is asked for under its name in `models`.

    What it serves under a name, also under "policy", is taken on trust.
    """

    base_url: Annotated[str, Field(pattern=r"^https?://")]
    revision: str  # what tells its weights and version from others: part of every request's key
    concurrency: Positive
    timeout_s: Annotated[float, Field(gt=0)]
    tries: Positive  # for one request, before the stage stops


class EngineSettings(Section):
    kind: Literal["vllm", "endpoint"]
    vllm: VllmSettings
    endpoint: EndpointSettings


class SamplingParams(Section):
    temperature: Annotated[float, Field(ge=0)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    max_tokens: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]


class Engine(Protocol):
    name: str  # kind, version and number format: part of every request's key

    def render(self, messages: list[Message]) -> str: ...

    @property
    def ask(self) -> Ask: ...


def open_engine(settings: EngineSettings, model_folder: Path) -> Engine:
    """The engine for the model in `model_folder`. Weights are loaded at the first request."""
    if settings.kind == "endpoint":
        from delta.engines.endpoint import Endpoint

        return Endpoint(settings.endpoint, model_folder.name)
    from delta.engines.offline import Offline

    return Offline(settings.vllm, model_folder)


def request(
    params: SamplingParams, engine: Engine, model: str, prompt: str, sample: int
) -> Request:
    return Request(
        model=model,
        engine=engine.name,
        prompt=prompt,
        temperature=params.temperature,
        top_p=params.top_p,
        max_tokens=params.max_tokens,
        seed=params.seed,
        sample=sample,
    )
