"""Which engine answers, with which settings, and how it samples. Opening one costs nothing yet."""

import re
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from delta import protocols
from delta.engines import Reply, Request, TryToAsk
from delta.params import SECRET, Section
from delta.records import Message

Positive = Annotated[int, Field(ge=1)]


def _without_key(address: str) -> str:
    """Only a host and a path: a user, a password, a query or a fragment may hold a key."""
    if not re.fullmatch(r"https?://[\w.:\[\]-]+(/[\w.~%:+,/-]*)?", address):
        raise PydanticCustomError(
            SECRET,
            "allowed: http(s)://host:port/path without user, password or query; a key is taken "
            "from $OPENAI_API_KEY",
        )
    return address


Url = Annotated[str, AfterValidator(_without_key)]


class ServingParams(Section):
    """How one model is spoken to and held in memory, by whichever engine."""

    protocol: str  # a name in prompts/protocols.yaml
    dtype: Literal["float32", "bfloat16", "float16"]
    max_model_len: Positive  # tokens, prompt and reply
    tensor_parallel: Positive  # GPUs that share the model
    trust_remote_code: bool  # whether code that lies beside the weights is run


class VllmSettings(Section):
    """vLLM in this process, on the GPU where there is one, else on the CPU."""

    max_num_seqs: Positive  # requests that the engine works on at once
    kv_cache_gib: Annotated[float, Field(gt=0)] | None  # for the cache alone, or
    gpu_share: Annotated[float, Field(gt=0, le=1)] | None  # of the GPU's memory, for everything
    enforce_eager: bool
    chunked_prefill: bool  # must be off on the CPU, where it breaks seeds
    block_size: Positive | None  # tokens of a prompt that are shared or not; null: vLLM's choice

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.kv_cache_gib is None) == (self.gpu_share is None):
            raise ValueError("allowed: exactly one of kv_cache_gib and gpu_share")
        return self


class EndpointSettings(Section):
    """OpenAI-compatible servers; a model is asked for under its name in `models`.

    What they serve under a name, also under "policy", is taken on trust, and that it is the same.
    """

    # Without user or password: params.yaml goes into Git. A key is taken from $OPENAI_API_KEY.
    base_urls: Annotated[list[Url], Field(min_length=1)]  # the one with least to do is asked
    revision: str  # what tells its weights and version from others: part of every request's key
    concurrency: Positive  # requests under way at once, over all servers
    timeout_s: Annotated[float, Field(gt=0)]
    tries: Positive  # for one request, before it counts as failed
    max_failed: Annotated[float, Field(ge=0, le=1)]  # share of a stage's requests


class RaySettings(Section):
    """vLLM on a Ray cluster, as `vllm` sets it: replicas of an engine, which share the requests.

    Each has `tensor_parallel` GPUs of one node, or none where vLLM is set for the CPU. The project
    and its environment must lie at the same path on every node, on a file system that they share.
    """

    # local: one of our own on this machine, which ends with the stage. auto: the one that
    # $RAY_ADDRESS names or that this machine belongs to.
    address: Literal["local", "auto"]
    replicas: Positive | None  # at most so many; null: as many as the cluster has room for
    cpus: Positive  # of each


class EngineSettings(Section):
    kind: Literal["vllm", "ray", "endpoint"]
    vllm: VllmSettings
    ray: RaySettings
    endpoint: EndpointSettings


class SamplingParams(Section):
    temperature: Annotated[float, Field(ge=0)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    max_tokens: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]


class Engine(Protocol):
    name: str  # kind, version and number format: part of every request's key
    protocol: protocols.Protocol

    def render(self, messages: list[Message]) -> str: ...

    def num_tokens(self, text: str) -> int | None: ...  # None: only a server knows

    @property
    def ask(self) -> TryToAsk: ...


def open_engine(settings: EngineSettings, serving: ServingParams, model_folder: Path) -> Engine:
    """The engine for the model in `model_folder`. Weights are loaded at the first request."""
    if settings.kind == "endpoint":
        from delta.engines.endpoint import Endpoint

        return Endpoint(settings.endpoint, serving, model_folder.name)
    if settings.kind == "ray":
        from delta.engines.replicas import Replicas

        return Replicas(settings.vllm, serving, model_folder, settings.ray)
    from delta.engines.offline import Offline

    return Offline(settings.vllm, serving, model_folder)


def request(
    params: SamplingParams, engine: Engine, model: str, prompt: str, sample: int
) -> Request:
    return Request(
        model=model,
        engine=engine.name,
        prompt=prompt,
        stop=tuple(engine.protocol.stop),
        keep_special_tokens=engine.protocol.keep_special_tokens,
        temperature=params.temperature,
        top_p=params.top_p,
        max_tokens=params.max_tokens,
        seed=params.seed,
        sample=sample,
    )


def whole_text(reply: Reply, protocol: protocols.Protocol) -> str:
    """The reply with its reasoning, put back where a server had taken it out."""
    if reply.reasoning is None:
        return reply.text
    open_end = reply.finish_reason == "length" and not reply.text
    return protocol.write(reply.reasoning, None if open_end else reply.text)
