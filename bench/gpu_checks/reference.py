"""The reference pass gives the GPU back before training takes it."""

import gc
import time
from collections.abc import Iterator

from bench.gpu_checks import models
from bench.gpu_checks.check import Measurement, Setting
from delta.inference.reply_cache import ReplyCache
from delta.plan.machine import read_gpus
from delta.plan.model_sizes import GIB


def run(setting: Setting) -> Iterator[Measurement]:
    """Yield what is left of the model in this process, and on the GPU, after the pass."""
    import torch

    from delta.training import reference_logps

    shape = setting.sized(models.LLAMA_8B | {"vocab_size": 32_000}, models.TINY)
    base = setting.folder / "base"
    fingerprint = models.write_model(base, shape, 2, setting.device)
    params = models.train_params(setting)
    rows = models.pairs(setting.sized(64, 4), params.max_length // 4, shape["vocab_size"])
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    weights = sum(file.stat().st_size for file in base.glob("*.safetensors")) / GIB
    tensors, before = _live_gib(), _gpu_gib(setting)
    start = time.perf_counter()
    with ReplyCache(setting.folder / "cache") as cache:
        computed = reference_logps.add_reference(
            params, rows, base, fingerprint, cache, models.no_progress
        )
    seconds = time.perf_counter() - start
    # Without gc.collect(), which training does not call either.
    details = {"weights_gib": weights, "sequences": computed, "pass_seconds": seconds}
    left = (_live_gib() - tensors) / weights
    yield Measurement("reference_pass_tensors_left", left, details | _allocator(setting))
    if before is None:
        yield Measurement("reference_pass_gpu_left", None, skipped="needs a GPU")
        return
    after = _gpu_gib(setting)
    assert after is not None
    yield Measurement("reference_pass_gpu_left", after - before, details | {"before_gib": before})


def _live_gib() -> float:
    """Return the GiB of all tensors that Python still has, those in reference cycles included."""
    import torch

    storages = {}
    for item in gc.get_objects():
        if isinstance(item, torch.Tensor):
            storage = item.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    total: float = sum(storages.values()) / GIB
    return total


def _allocator(setting: Setting) -> dict[str, float]:
    """Return what PyTorch holds of the GPU in this process."""
    import torch

    if setting.device != "cuda" or not torch.cuda.is_initialized():
        return {}
    return {
        "allocated_gib": torch.cuda.memory_allocated() / GIB,
        "reserved_gib": torch.cuda.memory_reserved() / GIB,
    }


def _gpu_gib(setting: Setting) -> float | None:
    """Return the memory in use on the GPU, of all processes; None where it is not known.

    A container does not show which process has how much.
    """
    if setting.device != "cuda":
        return None
    return read_gpus()[0].used_gib
