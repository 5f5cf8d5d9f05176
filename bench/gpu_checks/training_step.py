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
from bench.gpu_checks.check import Measurement, Setting
from bench.gpu_checks.data_sheet import UNKNOWN, peak_tflops
from delta.plan.model_sizes import GIB, Shape, shape_of_config
from delta.plan.training_memory import batch_tokens, training_memory
from delta.training.config import TrainParams

STEPS = 4  # the first is left out: it compiles kernels
PAIRS = 2  # a batch of the paper profile: 4 sequences
BYTES_PER_PARAMETER = 16  # weight, gradient and two moments, in float32


class Step(NamedTuple):
    layers: int
    seconds: float
    gib: float  # the peak; 0 on a CPU
    planned_gib: float  # the same by `make plan`
    flop: float  # with those of recomputing
    model_flop: float  # without


def run(setting: Setting) -> Iterator[Measurement]:
    """Yield the GPU's rate in a matrix product, then the numbers of a training step."""
    rate = _matmul_rate(setting)
    peak = peak_tflops(setting) or rate
    details: dict[str, Any] = {"data_sheet_tflops": peak_tflops(setting), "tflops": rate}
    if peak_tflops(setting) is None:
        yield Measurement("matmul_share_of_peak", None, details, UNKNOWN)
    else:
        yield Measurement("matmul_share_of_peak", rate / peak, details)
    config = setting.sized(models.LLAMA_8B, models.TINY)
    small, large = (_step(setting, config, layers) for layers in _depths(setting))
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
    yield Measurement("step_seconds", large.seconds, details)
    if setting.device == "cuda":
        details = {"gib": large.gib, "planned_gib": large.planned_gib, "gib_a_layer": gib}
        details |= {"gib_of_32_layers": large.gib + missing * gib}
        yield Measurement("step_memory_against_plan", large.gib / large.planned_gib, details)
    else:
        skipped = "PyTorch counts no bytes of a CPU"
        yield Measurement("step_memory_against_plan", None, skipped=skipped)
    # A whole model has more layers for one vocabulary, so its share is that of a layer.
    flop = large.flop - small.flop
    share = flop / (large.layers - small.layers) / seconds / peak / 1e12
    details = {
        "peak_tflops": peak,
        "whole_step": large.flop / large.seconds / peak / 1e12,
        "without_recomputing": share * (large.model_flop - small.model_flop) / flop,
    }
    yield Measurement("step_share_of_peak", share, details)


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
    free = torch.cuda.mem_get_info()[0] / GIB
    # 25 GiB: what 32,768 tokens keep for the backward pass of one layer, the loss, fragments
    without_layers, one_layer = (_static_gib(_shape(models.LLAMA_8B, number)) for number in (0, 1))
    left = free - 25 - without_layers
    layer = one_layer - without_layers + 0.5
    largest = min(16, int(left / layer))
    if largest < 2:
        raise MemoryError(f"{free:.0f} GiB are free; expected a GPU of 80 GB, with nothing on it")
    return max(1, largest // 2), largest


def _shape(config: dict[str, Any], layers: int) -> Shape:
    shape = shape_of_config(config | {"num_hidden_layers": layers})
    assert shape is not None
    return shape


def _parameters(shape: Shape) -> int:
    return shape.layers * shape.layer_parameters + shape.embedding_parameters


def _static_gib(shape: Shape) -> float:
    return _parameters(shape) * BYTES_PER_PARAMETER / GIB


def _flop(shape: Shape, length: int) -> tuple[float, float]:
    """Return the FLOP of a step with and without recomputing the layers in the backward pass."""
    head = shape.hidden * shape.vocabulary
    tokens = 2 * PAIRS * length
    # Two products of L x L x width in each layer, of which causal attention needs half.
    attention = shape.layers * 2 * length * shape.hidden * tokens
    forward = 2 * shape.layers * shape.layer_parameters * tokens + attention
    return 4 * forward + 6 * head * tokens, 3 * forward + 6 * head * tokens


class _Clock(TrainerCallback):
    """Notes the time after each optimizer step."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.times: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        _wait(self.setting)
        self.times.append(time.perf_counter())


def _step(setting: Setting, config: dict[str, Any], layers: int) -> Step:
    """Return the median of some steps of the project's trainer, in the paper profile's settings."""
    params = models.train_params(setting, per_device_train_batch_size=PAIRS)
    rows = models.pairs(PAIRS * STEPS, params.max_length, config["vocab_size"])
    model = models.random_model(config, layers, setting.device)
    trainer = models.trainer(params, model, rows, setting.folder, max_steps=STEPS)
    clock = _Clock(setting)
    trainer.add_callback(clock)
    if setting.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    trainer.train()
    gib = torch.cuda.max_memory_allocated() / GIB if setting.device == "cuda" else 0.0
    seconds = [b - a for a, b in zip(clock.times, clock.times[1:], strict=False)]
    del trainer, model
    gc.collect()  # TRL's fused head refers to its model
    if setting.device == "cuda":
        torch.cuda.empty_cache()
    shape = _shape(config, layers)
    flops = _flop(shape, params.max_length)
    return Step(layers, statistics.median(seconds), gib, _planned_gib(params, shape), *flops)


def _planned_gib(params: TrainParams, shape: Shape) -> float:
    return training_memory(params, _parameters(shape), shape, batch_tokens(params)).total / GIB
