"""Parameters of engines, servers and sampling."""

import os
import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from delta.core.errors import InputError
from delta.core.params import SECRET_ERROR, Name, StrictModel
from delta.inference.chat_completions import COMPLETIONS_PATH, Accepts
from delta.inference.failures import hide_variable

Count = Annotated[int, Field(ge=1)]
USD = Annotated[float, Field(ge=0)]
VARIABLE_NAME = r"[A-Z_][A-Z0-9_]*"  # a key pasted here by mistake has small letters or dashes
HEADER_VALUE = re.compile(r"[\x21-\x7e]+")


def _validate_url(url: str) -> str:
    """Refuse a user, a password, a query or a fragment, each of which may contain a key."""
    is_plain = re.fullmatch(r"https?://[\w.:\[\]-]+(/[\w.~%:+,/-]*)?", url)
    if not is_plain or not _has_host(url):
        raise PydanticCustomError(
            SECRET_ERROR,
            "expected http(s)://host:port/path without user, password or query; a key is read "
            "from the environment variable that `key` names",
        )
    if url.rstrip("/").endswith(COMPLETIONS_PATH):
        raise PydanticCustomError(
            SECRET_ERROR, f"ends in {COMPLETIONS_PATH}, which is added; expected without it"
        )
    return url


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.netloc.encode("idna")
    except ValueError:  # unclosed brackets, empty or too long labels
        return False
    host_and_port = re.fullmatch(r"(\[[\da-fA-F:.]+\]|[^:\[\]]+)(?::(\d{1,5}))?", parts.netloc)
    return host_and_port is not None and 0 < int(host_and_port[2] or 80) < 2**16


def _validate_variable(name: Any) -> Any:
    """Refuse anything but a variable's name, and never show it, since it may be the key itself."""
    if name is None or (isinstance(name, str) and re.fullmatch(VARIABLE_NAME, name)):
        return name
    raise PydanticCustomError(
        SECRET_ERROR,
        "expected null, or the name of an environment variable in capital letters, such as "
        "OPENAI_API_KEY; the key itself stays out of this file",
    )


Url = Annotated[str, AfterValidator(_validate_url)]


class ServerModelParams(StrictModel):
    """Settings that shape the replies of a model at a server.

    Nothing can check which model the server has under its name, "policy" included. How the server
    is reached does not shape replies, so that is in `engine.servers`.
    """

    # Names weights and version: part of every request's key.
    revision: Annotated[str, Field(min_length=1)]
    accepts: Accepts  # the fields of a request that the server knows


class ServingParams(StrictModel):
    """Chat format of a model whose weights are local, and vLLM's options for it."""

    chat_format: str  # a name in prompts/chat_formats.yaml
    dtype: Literal["float32", "bfloat16", "float16"]
    max_model_len: Count  # tokens, prompt and reply
    max_num_seqs: Count  # requests that it writes at once
    tensor_parallel_size: Count  # GPUs that share the model
    trust_remote_code: bool  # whether code beside the weights is run
    server: ServerModelParams | None = None  # a server answers; without it, the engine of this run


class WeightlessServingParams(StrictModel):
    """Chat format of a model without local weights."""

    chat_format: str
    max_model_len: Count  # tokens, prompt and reply, that its server takes
    server: ServerModelParams


def _serving_kind(entry: Any) -> str:
    weight_options = {"dtype", "max_num_seqs", "tensor_parallel_size", "trust_remote_code"}
    weightless = isinstance(entry, dict) and "server" in entry and not weight_options & entry.keys()
    return "weightless" if weightless else "weights"


Serving = Annotated[
    Annotated[ServingParams, Tag("weights")]
    | Annotated[WeightlessServingParams, Tag("weightless")],
    Discriminator(_serving_kind),
]


class VllmParams(StrictModel):
    """vLLM's own options. Where one is null, vLLM chooses. A GPU is used where there is one."""

    kv_cache_memory_bytes: Count | None  # for the cache alone
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None  # or for weights and cache
    enforce_eager: bool
    enable_chunked_prefill: bool  # must be off on the CPU, where it breaks seeds
    block_size: Count | None  # tokens in a block of the cache, the unit that prompts share

    @model_validator(mode="after")
    def _require_one_memory_bound(self) -> Self:
        if (self.kv_cache_memory_bytes is None) == (self.gpu_memory_utilization is None):
            names = "kv_cache_memory_bytes, gpu_memory_utilization"
            raise ValueError(f"expected exactly one of {names}")
        return self


class Price(StrictModel):
    """US dollars per million tokens, from the provider's price list."""

    prompt: USD
    completion: USD  # includes reasoning


class ServerParams(StrictModel):
    """One OpenAI-compatible API, at one or several addresses that serve the same models."""

    # Without user or password, since params.yaml is in Git. The least busy address is asked.
    base_urls: Annotated[list[Url], Field(min_length=1)]
    # Name of the environment variable that holds the API key; null: no key is sent.
    key: Annotated[str | None, BeforeValidator(_validate_variable)]
    models: Annotated[dict[str, Price | None], Field(min_length=1)]  # null: price unknown
    concurrency: Count  # requests in flight at once, over all addresses
    timeout_s: Annotated[float, Field(gt=0)]  # of one attempt
    max_retries: Annotated[int, Field(ge=0)]  # of one request, before it counts as failed

    def api_key(self) -> str | None:
        """Return the key from the environment, and hide it in all later messages.

        Raises InputError where it is not set or no header can carry it.
        """
        if self.key is None:
            return None
        key = os.environ.get(self.key, "")
        if not key.strip():
            raise InputError(
                f"${self.key} is not set: {self.base_urls[0]} wants the key that this environment "
                "variable holds"
            )
        hide_variable(self.key)
        if not HEADER_VALUE.fullmatch(key):
            raise InputError(
                f"${self.key} holds a line end, a blank or a letter beyond ASCII; expected the "
                "key alone (read a file with a line end by `$(tr -d '\\r\\n' < FILE)`)"
            )
        return key


class RayParams(StrictModel):
    """vLLM on a Ray cluster: replicas with the settings of `vllm` share the requests.

    Each replica has `tensor_parallel_size` GPUs of one node, or none where vLLM runs on the CPU.
    The project and its environment must be at the same path on every node.
    """

    # local: a cluster on this machine, which ends with the stage. auto: the one that $RAY_ADDRESS
    # names or that this machine belongs to.
    address: Literal["local", "auto"]
    replicas: Count | None  # at most; null: as many as the cluster has room for
    cpus: Count  # of each replica


class EngineParams(StrictModel):
    """What answers requests: vLLM on this machine or on a cluster, and servers."""

    kind: Literal["vllm", "ray"]  # of every model without a `server` of its own
    vllm: VllmParams
    ray: RayParams
    servers: dict[Name, ServerParams]  # each answers for the models it lists
    max_failed: Annotated[float, Field(ge=0, le=1)]  # fraction of a stage's requests

    def server_of(self, model: str) -> str:
        """Return the name of the server that lists `model`. Raises InputError where none does."""
        for name, server in self.servers.items():
            if model in server.models:
                return name
        raise InputError(
            f"engine.servers: none lists {model} among its models, which serving.{model}.server "
            "needs"
        )


class SamplingParams(StrictModel):
    """How a reply is sampled. The names are those of vLLM's SamplingParams."""

    temperature: Annotated[float, Field(ge=0)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    max_tokens: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]
