"""Estimate the memory and the disk of a run."""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from delta.core import paths
from delta.inference.config import ServingParams, VllmParams
from delta.plan import costs
from delta.plan.costs import Cost, Gpu
from delta.plan.model_sizes import BYTES, Size, Sizes
from delta.plan.requests import Workspace
from delta.training.config import TrainParams

GIB = 2**30
TENSOR_PARALLEL_SIZES = (1, 2, 4, 8, 16)
CPU_COPIES = 2  # of weights that are not in a hub cache


class Fit(NamedTuple):
    """The answer whether something fits into memory, and the reason."""

    fits: bool
    message: str


def serving_fit(serving: ServingParams, size: Size, gpu: Gpu, vllm: VllmParams) -> Fit:
    """Fit weights, the KV cache of one full reply and the engine itself on the model's GPUs."""
    if vllm.gpu_memory_utilization is None:
        return _ram_fit(size.weights + (vllm.kv_cache_memory_bytes or 0))
    free = gpu.gib * vllm.gpu_memory_utilization - costs.ENGINE_GIB.value
    cache = (size.kv_bytes or 0) * serving.max_model_len / GIB
    needed = size.weights / GIB + cache
    if needed / serving.tensor_parallel_size > free:
        enough = [n for n in TENSOR_PARALLEL_SIZES if needed / n <= free]
        cure = f"tensor_parallel_size {enough[0]} or more" if enough else "over 16 GPUs"
        return Fit(fits=False, message=f"does not fit: {cure}")
    if not cache:
        return Fit(fits=True, message="fits; its cache is not known")
    left = free * serving.tensor_parallel_size - size.weights / GIB
    return Fit(fits=True, message=f"fits, {int(left / cache):,} full replies at once")


def training_bytes(train: TrainParams, size: Size) -> float:
    """Return the bytes of weights, gradients and moments on each GPU, without activations."""
    width = BYTES[train.dtype]
    moments = 2 if train.optim == "adamw_8bit" else 2 * width
    each = width if train.lora is not None else 2 * width + moments
    shards = train.num_processes if train.fsdp else 1
    return size.parameters * each / shards


def training_fit(train: TrainParams, size: Size, gpu: Gpu) -> Fit:
    needed = training_bytes(train, size)
    if not train.bf16:  # on CPUs
        return _ram_fit(needed * train.num_processes)
    used = needed / GIB / gpu.gib
    if used > 1:
        return Fit(fits=False, message="does not fit: more processes with fsdp, or lora")
    if used > 1 - costs.ACTIVATIONS.value:
        return Fit(fits=False, message=f"tight: {1 - used:.0%} of the GPU for activations")
    return Fit(fits=True, message=f"fits, with {1 - used:.0%} of the GPU for activations")


def checkpoint_bytes(train: TrainParams, size: Size) -> float:
    """Return the bytes of the last and the next checkpoint, and of the best with early stopping."""
    kept = 2 if train.early_stopping is None else 3
    each = 0.0 if train.lora is not None else costs.OPTIMIZER.value
    return kept * each * size.parameters


def _ram_fit(needed: float) -> Fit:
    ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    message = f"{needed / GIB:.1f} of this machine's {ram / GIB:.0f} GiB"
    return Fit(needed < ram, message if needed < ram else f"does not fit: {message}")


def models_to_fetch(workspace: Workspace) -> list[str]:
    """Return the models whose weights the run fetches."""
    models = workspace.params.models.items()
    return [name for name, m in models if m.has_weights and not workspace.settled(f"fetch@{name}")]


def disk_bytes(
    workspace: Workspace, requests: Sequence[Cost], sizes: Sizes, training: bool
) -> Iterator[tuple[str, float]]:
    """Yield what will be written, in words, and its bytes. Models of unknown size are left out."""
    params = workspace.params
    for name in models_to_fetch(workspace):
        size = sizes[name]
        if size is not None and not paths.model(name).is_dir():
            copies = CPU_COPIES if params.models[name].hub is None else costs.COPIES.value
            yield f"weights of {name}, {copies:g} copies", copies * size.on_disk
    written = sum(cost.tokens.written for cost in requests if cost.tokens)
    yield "replies, in the cache and in tables", written * costs.CHARACTERS.value * 2
    base = sizes[params.train.base]
    if training and base is not None:
        yield "checkpoints while it trains", checkpoint_bytes(params.train, base)
        yield "the policy, 2 copies", 2 * base.parameters * BYTES[params.train.dtype]
