"""Estimate the memory of a run, its checkpoints, and the models that it fetches."""

from typing import Any, NamedTuple

from delta.inference.config import ServingParams, VllmParams
from delta.plan.assumptions import CUDA_GIB, ENGINE_GIB, OPTIMIZER
from delta.plan.machine import ram_bytes
from delta.plan.model_sizes import GIB, Size
from delta.plan.requests import Workspace
from delta.plan.speeds import Gpu
from delta.plan.training_memory import batch_tokens, kept_bytes, memory_of
from delta.training.config import LoraParams, TrainParams

TENSOR_PARALLEL_SIZES = (1, 2, 4, 8, 16)


class Fit(NamedTuple):
    """The answer whether something fits into memory, and the reason."""

    fits: bool
    message: str


def serving_fit(serving: ServingParams, size: Size, gpu: Gpu, vllm: VllmParams) -> Fit:
    """Fit weights, the KV cache of one full reply and the engine itself on the model's GPUs."""
    if vllm.gpu_memory_utilization is None:
        return _ram_fit(size.weights + (vllm.kv_cache_memory_bytes or 0))
    free = gpu.gib * vllm.gpu_memory_utilization - ENGINE_GIB.value
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


def training_fit(train: TrainParams, size: Size, gpu: Gpu | None) -> Fit:
    """Fit weights, gradients, moments and the activations of the longest batch on each GPU.

    Without a GPU: what is kept, in the memory of this machine.
    """
    if gpu is None:
        return _ram_fit(kept_bytes(train, size.parameters) * train.num_processes)
    free = (gpu.gib - CUDA_GIB.value) * GIB
    kept, memory = kept_bytes(train, size.parameters), memory_of(train, size)
    if memory is None:
        message = f"{kept / GIB:.0f} GiB besides activations, whose size is not known"
        return Fit(kept < free, message if kept < free else f"does not fit: {message}")
    if memory.total > free:
        return Fit(fits=False, message=f"does not fit: {_remedy(train, size, free)}")
    batch = f"{(memory.total - memory.kept) / GIB:.1f} for {batch_tokens(train):,} tokens"
    return Fit(fits=True, message=f"fits: {memory.kept / GIB:.1f} and {batch}")


def _remedy(train: TrainParams, size: Size, free: float) -> str:
    """Return the smallest change of `train` with which the model fits into `free` bytes."""
    adapters = LoraParams(r=16, lora_alpha=32, target_modules=["q_proj", "v_proj"])
    changes: dict[str, dict[str, Any]] = {
        "gradient_checkpointing: true": {"gradient_checkpointing": True},
        "per_device_train_batch_size: 1": {"per_device_train_batch_size": 1},
        "optim: adamw_8bit": {"optim": "adamw_8bit"},
        **{
            f"fsdp with num_processes: {number}": {"fsdp": True, "num_processes": number}
            for number in (2, 4, 8, 16)
        },
        "lora": {"lora": adapters, "fsdp": False},
    }
    tried: dict[str, Any] = {}
    words: list[str] = []
    for word, change in changes.items():
        if all(getattr(train, name) == value for name, value in change.items()):
            continue
        if "fsdp" in change and train.lora is not None:
            continue
        sharded = {"optim": "adamw_torch"} if change.get("fsdp") else {}
        memory = memory_of(train.model_copy(update=tried | change | sharded), size)
        if memory is not None and memory.total <= free:
            return ", ".join([*words, word])
        if "fsdp" not in change and "optim" not in change:
            tried |= change
            words.append(word)
    return "a smaller model or max_length"


def checkpoint_bytes(train: TrainParams, size: Size) -> float:
    """Return the bytes of the last and the next checkpoint, and of the best with early stopping."""
    kept = 2 if train.early_stopping is None else 3
    each = 0.0 if train.lora is not None else OPTIMIZER.value
    return kept * each * size.parameters


def _ram_fit(needed: float) -> Fit:
    ram = ram_bytes()
    message = f"{needed / GIB:.1f} of this machine's {ram / GIB:.0f} GiB"
    return Fit(needed < ram, message if needed < ram else f"does not fit: {message}")


def models_to_fetch(workspace: Workspace) -> list[str]:
    """Return the models whose weights the run fetches."""
    models = workspace.params.models.items()
    return [name for name, m in models if m.has_weights and not workspace.settled(f"fetch@{name}")]
