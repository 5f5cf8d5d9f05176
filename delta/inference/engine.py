"""Which engine answers, with which settings, and how it samples. Opening one costs nothing yet."""

import os
import re
from typing import Annotated, Any, Literal, Protocol, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from delta.core.errors import InputError
from delta.core.params import SECRET_ERROR, Name, StrictModel
from delta.core.schemas import Message
from delta.inference import chat_formats
from delta.inference.failures import hide
from delta.inference.fields import Accepts
from delta.inference.types import Reply, Request, TryGenerateFn

Positive = Annotated[int, Field(ge=1)]
PATH = "/chat/completions"
VARIABLE = r"[A-Z_][A-Z0-9_]*"  # a key that was pasted here has small letters or dashes
TOKEN = re.compile(r"[\x21-\x7e]+")  # what a header can carry
Fraction = Annotated[float, Field(gt=0, le=1)]
USD = Annotated[float, Field(ge=0)]


def _without_key(address: str) -> str:
    """Only a host and a path: a user, a password, a query or a fragment may hold a key."""
    is_plain = re.fullmatch(r"https?://[\w.:\[\]-]+(/[\w.~%:+,/-]*)?", address)
    if not is_plain or not _has_host(address):
        raise PydanticCustomError(
            SECRET_ERROR,
            "allowed: http(s)://host:port/path without user, password or query; a key is taken "
            "from the variable that `key` names",
        )
    if address.rstrip("/").endswith(PATH):
        raise PydanticCustomError(
            SECRET_ERROR, f"ends in {PATH}, which is added; allowed: without it"
        )
    return address


def _has_host(address: str) -> bool:
    try:
        parts = urlsplit(address)
        parts.netloc.encode("idna")
    except ValueError:  # brackets that do not close, labels that are empty or too long
        return False
    host_and_port = re.fullmatch(r"(\[[\da-fA-F:.]+\]|[^:\[\]]+)(?::(\d{1,5}))?", parts.netloc)
    return host_and_port is not None and 0 < int(host_and_port[2] or 80) < 2**16


def _variable(name: Any) -> Any:
    """The error does not show the value: it may be the key itself."""
    if name is None or (isinstance(name, str) and re.fullmatch(VARIABLE, name)):
        return name
    raise PydanticCustomError(
        SECRET_ERROR,
        "allowed: null, or the name of an environment variable in capital letters, such as "
        "OPENAI_API_KEY; the key itself stays out of this file",
    )


Url = Annotated[str, AfterValidator(_without_key)]


class RemoteParams(StrictModel):
    """What shapes the replies of a model that servers answer for.

    What they serve under a name, also under "policy", is taken on trust, and that all of them
    serve the same. How they are reached shapes no reply and stands in `engine.endpoint`.
    """

    # Tells its weights and version from others: part of every request's key.
    revision: Annotated[str, Field(min_length=1)]
    accepts: Accepts  # the fields of a request that the servers know


class ServingParams(StrictModel):
    """How a model whose weights are here is spoken to and held in memory."""

    chat_format: str  # a name in prompts/chat_formats.yaml
    dtype: Literal["float32", "bfloat16", "float16"]
    max_model_len: Positive  # tokens, prompt and reply
    tensor_parallel_size: Positive  # GPUs that share the model
    trust_remote_code: bool  # whether code that lies beside the weights is run
    endpoint: RemoteParams | None = None  # servers are asked; without it, the engine of this run


class ServedParams(StrictModel):
    """How a model without weights here is spoken to."""

    chat_format: str
    max_model_len: Positive  # what its servers take: prompt and reply
    endpoint: RemoteParams


def _serving_kind(entry: Any) -> str:
    of_weights = {"dtype", "tensor_parallel_size", "trust_remote_code"}
    served = isinstance(entry, dict) and "endpoint" in entry and not of_weights & entry.keys()
    return "served" if served else "weights"


Serving = Annotated[
    Annotated[ServingParams, Tag("weights")] | Annotated[ServedParams, Tag("served")],
    Discriminator(_serving_kind),
]


class VllmSettings(StrictModel):
    """vLLM in this process, on the GPU where there is one, else on the CPU."""

    max_num_seqs: Positive  # requests that the engine works on at once
    kv_cache_memory_bytes: Positive | None  # for the cache alone, or
    gpu_memory_utilization: Fraction | None  # of the GPU's memory, for weights and cache
    enforce_eager: bool
    enable_chunked_prefill: bool  # must be off on the CPU, where it breaks seeds
    block_size: Positive | None  # tokens of a prompt that are shared or not; null: vLLM's choice

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.kv_cache_memory_bytes is None) == (self.gpu_memory_utilization is None):
            raise ValueError(
                "expected exactly one of kv_cache_memory_bytes, gpu_memory_utilization"
            )
        return self


class Price(StrictModel):
    """US dollars for a million tokens, from the provider's price list."""

    prompt: USD
    completion: USD  # reasoning counts as such


class ServerSettings(StrictModel):
    """One OpenAI-compatible API, at one or several addresses that serve the same models."""

    # Without user or password: params.yaml goes into Git.
    base_urls: Annotated[list[Url], Field(min_length=1)]  # the one with least to do is asked
    # The NAME of the environment variable that holds its key; null: none is sent.
    key: Annotated[str | None, BeforeValidator(_variable)]
    models: Annotated[dict[str, Price | None], Field(min_length=1)]  # null: the price is not known
    concurrency: Positive  # requests under way at once, over all its addresses

    def token(self) -> str | None:
        """Return the key that the environment has. InputError where no header can carry it.

        From here on no reason of a failure shows it.
        """
        if self.key is None:
            return None
        token = os.environ.get(self.key, "")
        if not token.strip():
            raise InputError(
                f"${self.key} is not set: {self.base_urls[0]} wants the key that this environment "
                "variable holds"
            )
        hide(self.key)
        if not TOKEN.fullmatch(token):
            raise InputError(
                f"${self.key} holds a line end, a blank or a letter beyond ASCII; expected: the "
                "key alone (a file with a line end is read by `$(tr -d '\\r\\n' < FILE)`)"
            )
        return token


class EndpointSettings(StrictModel):
    """OpenAI-compatible servers, by names of our own. Each answers for the models it lists."""

    servers: dict[Name, ServerSettings]
    timeout_s: Annotated[float, Field(gt=0)]
    max_retries: Annotated[int, Field(ge=0)]  # of one request, before it counts as failed
    max_failed: Annotated[float, Field(ge=0, le=1)]  # share of a stage's requests

    def server_of(self, model: str) -> str:
        """The name of the server that answers for `model`. InputError where none lists it."""
        for name, server in self.servers.items():
            if model in server.models:
                return name
        raise InputError(
            f"engine.endpoint.servers: none lists {model} among its models, which "
            f"serving.{model}.endpoint needs"
        )


class RaySettings(StrictModel):
    """vLLM on a Ray cluster, as `vllm` sets it: replicas of an engine, which share the requests.

    Each has `tensor_parallel_size` GPUs of one node, or none where vLLM is set for the CPU. The
    project and its environment must lie at the same path on every node, on a shared file system.
    """

    # local: one of our own on this machine, which ends with the stage. auto: the one that
    # $RAY_ADDRESS names or that this machine belongs to.
    address: Literal["local", "auto"]
    replicas: Positive | None  # at most so many; null: as many as the cluster has room for
    cpus: Positive  # of each


class EngineSettings(StrictModel):
    kind: Literal["vllm", "ray"]  # of every model without an `endpoint` of its own
    vllm: VllmSettings
    ray: RaySettings
    endpoint: EndpointSettings


class SamplingParams(StrictModel):
    temperature: Annotated[float, Field(ge=0)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    max_tokens: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]


class Engine(Protocol):
    name: str  # kind, version and number format: part of every request's key
    chat_format: chat_formats.ChatFormat

    def render(self, messages: list[Message]) -> str: ...

    def num_tokens(self, text: str) -> int | None: ...  # None: only a server knows

    @property
    def ask(self) -> TryGenerateFn: ...


def request(
    params: SamplingParams, engine: Engine, model: str, prompt: str, sample: int
) -> Request:
    return Request(
        model=model,
        engine=engine.name,
        prompt=prompt,
        stop=tuple(engine.chat_format.stop),
        keep_special_tokens=engine.chat_format.keep_special_tokens,
        temperature=params.temperature,
        top_p=params.top_p,
        max_tokens=params.max_tokens,
        seed=params.seed,
        sample=sample,
    )


def read_reply(
    reply: Reply, chat_format: chat_formats.ChatFormat, prompt: str
) -> tuple[str, chat_formats.ReasoningSpan]:
    """Return the whole text and where its reasoning and answer are.

    Reasoning that a server had taken out is put back: with the family's markers, or, where it has
    none, with a blank line, so that a judge's JSON is its answer alone.
    """
    if reply.reasoning is None:
        return reply.text, chat_format.split(reply.text, prompt)
    answer = reply.text if reply.text.strip() else None
    if chat_format.begins is not None:
        text = chat_format.write(reply.reasoning, answer)
        return text, chat_format.split(text, prompt)
    reasoning = reply.reasoning.strip()
    if answer is None:
        return reasoning, chat_formats.ReasoningSpan(0, len(reasoning), None)
    before = f"{reasoning}\n\n" if reasoning else ""
    return before + answer, chat_formats.ReasoningSpan(0, len(reasoning), len(before))
