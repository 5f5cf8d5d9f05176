"""Compute how many tokens a second a GPU, or two CPU cores, read, write and train."""

import re
from typing import NamedTuple

from delta.inference.config import ServingParams, VllmParams
from delta.plan.assumptions import (
    BANDWIDTH,
    COMPUTING,
    CPU_DECODING,
    CPU_READING,
    CPU_TRAINING,
    ENGINE_GIB,
    READING,
    STEP_S,
    TENSOR_PARALLEL,
    TRAINING,
)
from delta.plan.model_sizes import GIB, Size

SEQUENCES = 100  # at once, where the bytes of a token in the KV cache are not known


class Gpu(NamedTuple):
    """A GPU by its data sheet. Peaks are dense, in TFLOP/s."""

    gib: float
    tflops: float  # in 16 bits
    float32_tflops: float = 67.0  # without tensor cores
    tbps: float = 3.35  # bandwidth of its memory, TB/s


GPUS = {  # words of the name that nvidia-smi shows; the first of a size stands for it
    "RTX 4090": Gpu(24, 165, 82.6, 1.01),
    "RTX 3090": Gpu(24, 71, 35.6, 0.94),
    "A10": Gpu(24, 125, 31.2, 0.60),
    "A10G": Gpu(24, 70, 35.0, 0.60),
    "A30": Gpu(24, 165, 10.3, 0.93),
    "L4": Gpu(24, 121, 30.3, 0.30),
    "RTX 5090": Gpu(32, 210, 105.0, 1.79),
    "L40S": Gpu(48, 362, 91.6, 0.86),
    "L40": Gpu(48, 181, 90.5, 0.86),
    "RTX A6000": Gpu(48, 155, 38.7, 0.77),
    "RTX 6000 Ada": Gpu(48, 364, 91.1, 0.96),
    "A40": Gpu(48, 150, 37.4, 0.70),
    "H100": Gpu(80, 989, 67.0, 3.35),
    "A100": Gpu(80, 312, 19.5, 2.04),
    "H200": Gpu(141, 989, 67.0, 4.80),
    "B200": Gpu(180, 2_250, 75.0, 7.70),
}


class Lengths(NamedTuple):
    """Mean tokens of requests, and how many of them share a prompt."""

    prompt: float
    reply: float
    per_prompt: int


class Rates(NamedTuple):
    """Tokens a second of one replica of a model."""

    reading: float
    writing: float
    at_once: float  # sequences in a step


def gpu_named(name: str, gib: float) -> Gpu | None:
    """Return the data sheet of a GPU as nvidia-smi names it, with the memory that it reports."""
    for words, gpu in GPUS.items():
        if re.search(rf"\b{words}\b", name):  # whole words: an L40 is no L4
            return gpu._replace(gib=gib)
    return None


def name_of_size(gib: float) -> str:
    """Return the name in GPUS that stands for this memory: that of the nearest size."""
    return min(GPUS, key=lambda name: abs(GPUS[name].gib - gib))


def gpu_of_size(gib: float) -> Gpu:
    """Return a GPU of this memory: the data sheet of the nearest size."""
    return GPUS[name_of_size(gib)]._replace(gib=gib)


def cpu_rates(size: Size) -> Rates:
    """Return the rates of a model on two CPU cores."""
    flop = 2 * size.active
    return Rates(CPU_READING.value / flop, CPU_DECODING.value / flop, 1)


def gpu_rates(
    serving: ServingParams, size: Size, vllm: VllmParams, gpu: Gpu, lengths: Lengths
) -> Rates:
    """Return the rates of a replica for prompts and replies of these mean lengths.

    A step writes a token of each sequence at once. It takes as long as the weights and the KV
    cache of these sequences take to be read, or as their arithmetic, whichever is longer.
    """
    gpus = serving.tensor_parallel_size
    share = gpus * (TENSOR_PARALLEL.value if gpus > 1 else 1)
    peak = (gpu.float32_tflops if serving.dtype == "float32" else gpu.tflops) * 1e12 * share
    free = (gpu.gib * (vllm.gpu_memory_utilization or 1) - ENGINE_GIB.value) * gpus * GIB
    cache = max(free - size.weights, 0)
    half = lengths.reply / 2
    if size.kv_bytes:
        each = size.kv_bytes * (lengths.prompt + half)
        kept = size.kv_bytes * (lengths.prompt / lengths.per_prompt + half)
    else:
        each = kept = cache / SEQUENCES
    at_once = max(1.0, min(serving.max_num_seqs, cache / kept if kept else 1))
    bandwidth = gpu.tbps * 1e12 * share * BANDWIDTH.value
    by_bytes = (size.weights + at_once * each) / bandwidth
    by_arithmetic = 2 * size.active * at_once / (peak * COMPUTING.value)
    step = max(by_bytes, by_arithmetic) + STEP_S.value
    return Rates(peak * READING.value / (2 * size.active), at_once / step, at_once)


def training_flops(gpu: Gpu | None, bf16: bool) -> float:
    """Return the useful FLOP a second of one GPU in training; None: of two CPU cores."""
    if gpu is None:
        return CPU_TRAINING.value
    return (gpu.tflops if bf16 else gpu.float32_tflops) * 1e12 * TRAINING.value
