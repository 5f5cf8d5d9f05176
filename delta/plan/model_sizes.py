"""How large the models are: read from their files where they are there, else from what is known."""

import json
from pathlib import Path
from typing import NamedTuple

from delta.check import Params
from delta.core import paths
from delta.data.fetch import ModelParams
from delta.inference.engine import ServingParams
from delta.plan.assumptions import HUB_BYTES

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
PACKED = ("U8", "I8", "I32", "F4")  # tensors in which one number holds several weights


class Known(NamedTuple):
    """From the models' own configuration files; billions."""

    parameters: float
    active: float | None = None  # of a mixture of experts: what one token passes through
    gigabytes: float | None = None  # of the files, where they are not 2 bytes a parameter
    kv_bytes: int | None = None  # keys and values of one token in 16 bits; None: it varies by layer


KNOWN = {
    "simplescaling/s1.1-3B": Known(3.09, kv_bytes=36_864),
    "simplescaling/s1.1-7B": Known(7.62, kv_bytes=57_344),
    "simplescaling/s1.1-14B": Known(14.77, kv_bytes=196_608),
    "simplescaling/s1.1-32B": Known(32.76, kv_bytes=262_144),
    "simplescaling/s1-32B": Known(32.76, kv_bytes=262_144),
    "nvidia/Llama-3.1-Nemotron-Nano-4B-v1.1": Known(4.51, kv_bytes=131_072),
    "nvidia/Llama-3.1-Nemotron-Nano-8B-v1": Known(8.03, kv_bytes=131_072),
    "nvidia/Llama-3_3-Nemotron-Super-49B-v1": Known(49.87),
    "nvidia/Llama-3_3-Nemotron-Super-49B-v1_5": Known(49.87),
    "openai/gpt-oss-20b": Known(20.9, active=3.6, gigabytes=13.8, kv_bytes=49_152),
    "openai/gpt-oss-120b": Known(116.8, active=5.1, gigabytes=65.3, kv_bytes=73_728),
    "meta-llama/Llama-3.3-70B-Instruct": Known(70.55, kv_bytes=327_680),
}


class Size(NamedTuple):
    parameters: float
    active: float  # parameters that one token passes through
    on_disk: float  # bytes of the files as they are fetched
    weights: float  # bytes in an engine's memory, in the type that serving names
    kv_bytes: float | None  # keys and values of one token there; None: not known


def sizes(params: Params) -> dict[str, Size | None]:
    """Of every model with weights, and the policy; None where nothing tells it."""
    found = {
        name: _size(name, model, serving.dtype)
        for name, model in params.models.items()
        if model.has_weights and isinstance(serving := params.serving[name], ServingParams)
    }
    # The policy of an earlier run may be another's: this one will be as large as its base.
    base, serving = params.train.base, params.serving[paths.POLICY]
    assert isinstance(serving, ServingParams)  # delta.check sees to it
    return found | {paths.POLICY: _size(base, params.models[base], serving.dtype)}


def _size(name: str, model: ModelParams, dtype: str) -> Size | None:
    folders = [paths.model(name), *([Path(model.folder.path)] if model.folder else [])]
    for folder in folders:
        if here := of_folder(folder, dtype):
            return here
    if model.hub is not None and model.hub.repository in KNOWN:
        return of_known(KNOWN[model.hub.repository], dtype)
    return None


def of_known(known: Known, dtype: str) -> Size:
    parameters = known.parameters * 1e9
    packed = None if known.gigabytes is None else known.gigabytes * 1e9
    kv_bytes = None if known.kv_bytes is None else known.kv_bytes * BYTES[dtype] / 2
    return Size(
        parameters,
        parameters if known.active is None else known.active * 1e9,
        packed or parameters * HUB_BYTES.value,
        packed or parameters * BYTES[dtype],
        kv_bytes,
    )


def of_folder(folder: Path, dtype: str) -> Size | None:
    """From the headers of the weights' files; None where there are none, or packed ones."""
    files = sorted(folder.glob("*.safetensors"))
    try:
        counts = [_parameters(file) for file in files]
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    parameters = sum(count for count in counts if count is not None)
    if not files or None in counts:
        return None
    on_disk = sum(file.stat().st_size for file in files)
    kv_bytes = _kv_numbers(config)
    return Size(
        parameters,
        parameters,
        on_disk,
        parameters * BYTES[dtype],
        None if kv_bytes is None else kv_bytes * BYTES[dtype],
    )


def _parameters(file: Path) -> int | None:
    """Of one safetensors file: 8 bytes with the header's length, then JSON with all shapes."""
    with file.open("rb") as content:
        header = json.loads(content.read(int.from_bytes(content.read(8), "little")))
    total = 0
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        if tensor["dtype"] in PACKED:
            return None
        numbers = 1
        for length in tensor["shape"]:
            numbers *= length
        total += numbers
    return total


def _kv_numbers(config: dict[str, int]) -> int | None:
    """Numbers that a token keeps in the cache."""
    try:
        heads = config["num_attention_heads"]
        head_dim = config.get("head_dim") or config["hidden_size"] // heads
        kv_heads = config.get("num_key_value_heads") or heads
        return 2 * config["num_hidden_layers"] * kv_heads * head_dim
    except (KeyError, TypeError):
        return None
