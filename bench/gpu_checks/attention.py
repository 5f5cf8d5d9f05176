"""Padding-free attention: which kernel runs, and how its memory grows with the length."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch

from bench.gpu_checks import models
from bench.gpu_checks.check import Measurement, Setting
from delta.training import padding_free
from delta.training.trl_adapter import add_fused_lm_head

LAYERS = 2
SEQUENCES = 4
# PyTorch's names of scaled_dot_product_attention's kernels that keep no matrix of all tokens by
# all tokens, forward. cuDNN's is a flash attention, too.
FLASH = (
    "aten::_scaled_dot_product_flash_attention",
    "aten::_scaled_dot_product_flash_attention_for_cpu",
    "aten::_scaled_dot_product_cudnn_attention",
)
OTHER = (
    "aten::_scaled_dot_product_efficient_attention",
    "aten::_scaled_dot_product_attention_math",
)


def run(setting: Setting) -> Iterator[Measurement]:
    """Yield the share of flash attention and the growth of memory from a length to its double."""
    shape = setting.sized(models.LLAMA_8B | {"vocab_size": 32_000}, models.TINY)
    model = models.random_model(shape, LAYERS, setting.device)
    add_fused_lm_head(model)
    is_padding_free = padding_free.enable_padding_free(model)
    length = setting.sized(2_048, 128)
    kernels = _kernels(model, _batch(shape, length, setting.device))
    calls = LAYERS * SEQUENCES
    yield Measurement(
        "flash_attention",
        sum(kernels[name] for name in FLASH) / calls if is_padding_free else 0.0,
        {"kernels": dict(kernels), "calls": calls, "padding_free": is_padding_free},
    )
    lengths = setting.sized((4_096, 8_192), (512, 1_024))
    used = [_bytes_for_backward(model, _batch(shape, n, setting.device)) for n in lengths]
    yield Measurement(
        "attention_memory_growth",
        math.log2(used[1] / used[0]),
        {"tokens": lengths, "bytes": used, "sequences": SEQUENCES},
    )


def _batch(shape: dict[str, Any], length: int, device: str) -> dict[str, torch.Tensor]:
    """Return sequences of which each but the first is one token shorter than the one before."""
    ids = torch.randint(3, shape["vocab_size"], (SEQUENCES, length), device=device)
    mask = torch.ones_like(ids)
    for row in range(SEQUENCES):
        mask[row, length - row :] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


def _loss(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.autocast(model.device.type, torch.bfloat16):
        loss: torch.Tensor = model(**batch, fused_lm_head=True).log_probs.float().sum()
    return loss


def _kernels(model: Any, batch: dict[str, torch.Tensor]) -> Counter[str]:
    """Return how often each kernel of attention ran in a forward and backward pass."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        _loss(model, batch).backward()
    model.zero_grad()
    counts = {event.key: event.count for event in profiler.key_averages()}
    return Counter({name: counts[name] for name in (*FLASH, *OTHER) if name in counts})


def _bytes_for_backward(model: Any, batch: dict[str, torch.Tensor]) -> int:
    """Return the bytes that a forward pass keeps: on a GPU the most that it needs at once."""
    if model.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before: int = torch.cuda.memory_allocated()
        _loss(model, batch)
        peak: int = torch.cuda.max_memory_allocated()
        return peak - before
    saved: dict[int, int] = {}
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        _loss(model, batch)
    return sum(saved.values())
