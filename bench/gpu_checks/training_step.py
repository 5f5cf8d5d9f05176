"""A DPO step at the width of an 8B model: seconds, memory, and the share of the GPU's peak.

The float32 weights, gradients and Adam's moments of 32 layers take 128 GB. So a GPU runs the same
step with fewer layers, twice, and the difference is that of a layer.
"""

import gc
import statistics
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from transformers import TrainerCallback

from bench.gpu_checks import models
from bench.gpu_checks.check import Measured, Setting
from bench.gpu_checks.data_sheet import UNKNOWN, peak_tflops
from delta.plan.training_memory import Shape, batch_tokens, training_memory
from delta.training.config import TrainParams

STEPS = 4  # the first is left out: it compiles kernels
PAIRS = 2  # a batch of the paper profile: 4 sequences
BYTES = 16  # a parameter: weight, gradient and two moments, in float32


class Step(NamedTuple):
    layers: int
    seconds: float
    gib: float  # the peak; 0 on a CPU
    planned_gib: float  # the same by `make plan`
    flop: float  # with those of recomputing
    model_flop: float  # without


def run(setting: Setting) -> Iterator[Measured]:
    """Yield the GPU's rate in a matrix product, then the numbers of a training step."""
    rate = _matmul_rate(setting)
    peak = peak_tflops(setting) or rate
    details: dict[str, Any] = {"data_sheet_tflops": peak_tflops(setting), "tflops": rate}
    if peak_tflops(setting) is None:
        yield Measured("matmul_share_of_peak", None, details, UNKNOWN)
    else:
        yield Measured("matmul_share_of_peak", rate / peak, details)
    shape = setting.sized(models.LLAMA_8B, models.TINY)
    small, large = (_step(setting, shape, layers) for layers in _depths(setting))
    seconds, gib = (
        (getattr(large, name) - getattr(small, name)) / (large.layers - small.layers)
        for name in ("seconds", "gib")
    )
    missing = models.LAYERS_8B - large.layers
    details = {
        "steps": [small._asdict(), large._asdict()],
        "seconds_a_layer": seconds,
        "seconds_of_32_layers": large.seconds + missing * seconds,
        "tokens": 2 * PAIRS * setting.sized(8_192, 256),
    }
    yield Measured("step_seconds", large.seconds, details)
    if setting.device == "cuda":
        details = {"gib": large.gib, "planned_gib": large.planned_gib, "gib_a_layer": gib}
        details |= {"gib_of_32_layers": large.gib + missing * gib}
        yield Measured("step_memory_against_plan", large.gib / large.planned_gib, details)
    else:
        skipped = "PyTorch counts no bytes of a CPU"
        yield Measured("step_memory_against_plan", None, skipped=skipped)
    # A whole model has more layers for one vocabulary, so its share is that of a layer.
    flop = large.flop - small.flop
    share = flop / (large.layers - small.layers) / seconds / peak / 1e12
    details = {
        "peak_tflops": peak,
        "whole_step": large.flop / large.seconds / peak / 1e12,
        "without_recomputing": share * (large.model_flop - small.model_flop) / flop,
    }
    yield Measured("step_share_of_peak", share, details)


def _side(setting: Setting) -> int:
    side: int = setting.sized(8_192, 512)
    return side


def _matmul_rate(setting: Setting) -> float:
    """Return the TFLOP/s of the product of two square bfloat16 matrices."""
    side = _side(setting)
    a, b = (torch.randn(side, side, dtype=torch.bfloat16, device=setting.device) for _ in range(2))
    times: int = setting.sized(20, 3)
    for _ in range(3):
        a @ b
    _wait(setting)
    start = time.perf_counter()
    for _ in range(times):
        a @ b
    _wait(setting)
    return 2 * side**3 * times / (time.perf_counter() - start) / 1e12


def _wait(setting: Setting) -> None:
    if setting.device == "cuda":
        torch.cuda.synchronize()


def _depths(setting: Setting) -> tuple[int, int]:
    """Return two numbers of layers that the GPU holds."""
    if setting.tiny or setting.device != "cuda":
        return 1, 3
    free = torch.cuda.mem_get_info()[0] / 2**30
    # 25 GiB: what 32,768 tokens keep for the backward pass of one layer, the loss, fragments
    left = free - 25 - _static_gib(models.LLAMA_8B, 0)
    layer = _static_gib(models.LLAMA_8B, 1) - _static_gib(models.LLAMA_8B, 0) + 0.5
    largest = min(16, int(left / layer))
    if largest < 2:
        raise MemoryError(f"{free:.0f} GiB are free; expected a GPU of 80 GB, with nothing on it")
    return max(1, largest // 2), largest


def _parameters(shape: dict[str, Any], layers: int) -> tuple[int, int]:
    """Return the weights of the layers and those of the head, which is as large as the input's."""
    width, kv = shape["hidden_size"], shape["num_key_value_heads"]
    kv_width = width // shape["num_attention_heads"] * kv
    layer = 2 * width * width + 2 * width * kv_width + 3 * width * shape["intermediate_size"]
    return layers * layer, width * shape["vocab_size"]


def _static_gib(shape: dict[str, Any], layers: int) -> float:
    in_layers, head = _parameters(shape, layers)
    return (in_layers + 2 * head) * BYTES / 2**30


def _flop(shape: dict[str, Any], layers: int, length: int) -> tuple[float, float]:
    """Return the FLOP of a step with and without recomputing the layers in the backward pass."""
    in_layers, head = _parameters(shape, layers)
    tokens = 2 * PAIRS * length
    # Two products of L x L x width in each layer, of which causal attention needs half.
    attention = layers * 2 * length * shape["hidden_size"] * tokens
    forward = 2 * in_layers * tokens + attention
    return 4 * forward + 6 * head * tokens, 3 * forward + 6 * head * tokens


class _Clock(TrainerCallback):
    """Notes the time after each optimizer step."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.times: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        _wait(self.setting)
        self.times.append(time.perf_counter())


def _step(setting: Setting, shape: dict[str, Any], layers: int) -> Step:
    """Return the median of some steps of the project's trainer, in the paper profile's settings."""
    params = models.train_params(setting, per_device_train_batch_size=PAIRS)
    rows = models.pairs(PAIRS * STEPS, params.max_length, shape["vocab_size"])
    model = models.random_model(shape, layers, setting.device)
    trainer = models.trainer(params, model, rows, setting.folder, max_steps=STEPS)
    clock = _Clock(setting)
    trainer.add_callback(clock)
    if setting.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    trainer.train()
    gib = torch.cuda.max_memory_allocated() / 2**30 if setting.device == "cuda" else 0.0
    seconds = [b - a for a, b in zip(clock.times, clock.times[1:], strict=False)]
    del trainer, model
    gc.collect()  # TRL's fused head refers to its model
    if setting.device == "cuda":
        torch.cuda.empty_cache()
    flops = _flop(shape, layers, params.max_length)
    planned = _planned_gib(params, shape, layers)
    return Step(layers, statistics.median(seconds), gib, planned, *flops)


def _planned_gib(params: TrainParams, shape: dict[str, Any], layers: int) -> float:
    heads = shape["num_attention_heads"]
    sizes = Shape(
        hidden=shape["hidden_size"],
        intermediate=shape["intermediate_size"],
        layers=layers,
        heads=heads,
        kv_heads=shape["num_key_value_heads"],
        head_dim=shape["hidden_size"] // heads,
        vocabulary=shape["vocab_size"],
        tied=False,
    )
    parameters = layers * sizes.layer_parameters + sizes.embedding_parameters
    return training_memory(params, parameters, sizes, batch_tokens(params)).total / 2**30
