"""Estimate tokens, hours, memory and dollars of a run from its requests and pairs.

Estimates rest on the assumptions in this file, which every plan prints. No result depends on them.
"""

from typing import NamedTuple

from delta.check import Params
from delta.inference import chat_formats
from delta.inference.engine import Price, ServedParams, ServingParams
from delta.inference.generate import SampledParams
from delta.plan.model_sizes import BYTES, Size
from delta.plan.pending import CHARS_PER_TOKEN, UNRESOLVED_FRACTION
from delta.plan.requests import RequestGroup
from delta.training.config import TrainParams

GIB = 2**30
HOUR_S = 3_600
TENSOR_PARALLEL_SIZES = (1, 2, 4, 8, 16)


class Assumption(NamedTuple):
    value: float
    reason: str


REASONING_REPLY = Assumption(
    5_000, "tokens in a reply of a model that reasons: DeepSeek-R1's traces have 16,000 characters"
)
CHANNELS_REPLY = Assumption(
    1_200, "tokens in a guided reply after reasoning at medium effort: 800 and 400 of JSON"
)
PLAIN_REPLY = Assumption(500, "tokens in a reply of a model that does not reason")
PROBLEM_PROMPT = Assumption(200, "tokens in a problem's prompt")
RUBRIC_PROMPT = Assumption(700, "tokens in a judge's prompt besides the trace")
CHARACTERS = Assumption(
    CHARS_PER_TOKEN, "characters a token, on disk twice: in the cache, and packed in tables"
)
UNRESOLVED = Assumption(UNRESOLVED_FRACTION, "of the traces go to the model that compares answers")
# Fractions of a GPU's peak. Small, because batches are bounded by memory, not by arithmetic.
DECODING = Assumption(
    0.08, "of the peak while writing: 5,000 tokens/s for 8B on one 989 TFLOP/s GPU"
)
READING = Assumption(0.4, "of the peak while reading prompts; samples of a prompt share it")
TRAINING = Assumption(
    0.225, "of the peak in training: the best published for 7B, packed, on an H100"
)
CPU_DECODING = Assumption(7.4e10, "FLOP/s of two cores writing: SmolLM2-135M at 275 tokens/s")
CPU_TRAINING = Assumption(5e10, "FLOP/s of two cores in training: 48 pairs of 300 tokens in 4 min")
ATTENTION = Assumption(
    1.05, "x 2 FLOP a parameter and token forward, 4 backward, 2 for recomputing"
)
OPTIMIZER = Assumption(12, "bytes a parameter in a checkpoint: fp32 weights, two moments of Adam")
ENGINE_GIB = Assumption(3, "GiB of a GPU for the engine besides weights and cache")
ACTIVATIONS = Assumption(0.25, "of a GPU left for activations in training")
COPIES = Assumption(3, "copies of fetched weights: hub cache, data/models, DVC's cache")
GPU_ONLY = (DECODING, READING, TRAINING, ENGINE_GIB, ACTIVATIONS)
CPU_ONLY = (CPU_DECODING, CPU_TRAINING)


def assumptions(params: Params) -> list[Assumption]:
    """Return the assumptions that apply to the kind of machine of `params`."""
    unused = CPU_ONLY if uses_gpu(params) else GPU_ONLY
    values = list(globals().values())
    return [value for value in values if isinstance(value, Assumption) and value not in unused]


class Gpu(NamedTuple):
    """The GPU that a plan assumes, whatever this machine has."""

    gib: float
    tflops: float  # peak, dense, in 16 bits


class Tokens(NamedTuple):
    read: float  # tokens of prompts; equal prompts count once
    written: float
    at_most: float  # written if every reply has max_tokens


class Bill(NamedTuple):
    """US dollars by the prices of a server."""

    usd: float
    at_most: float  # if every reply has max_tokens


class Speed(NamedTuple):
    """Useful FLOP per second."""

    reading: float
    writing: float
    training: float


class Fit(NamedTuple):
    """The answer whether something fits into memory, and the reason."""

    fits: bool
    words: str


def engine_uses_gpu(params: Params) -> bool:
    return params.engine.vllm.gpu_memory_utilization is not None


def training_uses_gpu(params: Params) -> bool:
    return params.train.bf16


def uses_gpu(params: Params) -> bool:
    return engine_uses_gpu(params) or training_uses_gpu(params)


def speed(gpu: Gpu, on_gpu: bool) -> Speed:
    if not on_gpu:
        return Speed(CPU_DECODING.value, CPU_DECODING.value, CPU_TRAINING.value)
    peak = gpu.tflops * 1e12
    return Speed(peak * READING.value, peak * DECODING.value, peak * TRAINING.value)


def reply_tokens(serving: ServingParams | ServedParams, max_tokens: int) -> float:
    """Return the assumed tokens of a reply in this chat format, at most `max_tokens`."""
    chat_format = chat_formats.load(serving.chat_format)
    if chat_format.begins is None:
        assumed = PLAIN_REPLY
    else:
        assumed = CHANNELS_REPLY if chat_format.channels else REASONING_REPLY
    return min(assumed.value, max_tokens)


def trace_tokens(params: Params, generator: str) -> float:
    entry = params.generators[generator]
    if isinstance(entry, SampledParams):
        return reply_tokens(params.serving[entry.model], entry.max_tokens)
    return REASONING_REPLY.value


def tokens(params: Params, group: RequestGroup) -> Tokens:
    """Return the tokens of the requests left. Means of cached replies replace assumptions."""
    read, written, at_most = billed_tokens(params, group)
    to_ask = group.to_ask or 0
    prompts = min(to_ask, (group.coverage.total or 0) / group.per_prompt)
    return Tokens(read * prompts / max(1, to_ask), written, at_most)


def billed_tokens(params: Params, group: RequestGroup) -> Tokens:
    """Return the tokens that a provider bills: every request pays for its prompt."""
    to_ask = group.to_ask or 0
    read = group.coverage.prompt_tokens or _prompt_tokens(params, group)
    written = group.coverage.reply_tokens
    written = written or reply_tokens(params.serving[group.model], group.max_tokens)
    return Tokens(read * to_ask, written * to_ask, group.max_tokens * to_ask)


def bill(billed: Tokens, price: Price) -> Bill:
    prompts = billed.read * price.prompt
    usd, at_most = (prompts + n * price.completion for n in (billed.written, billed.at_most))
    return Bill(usd / 1e6, at_most / 1e6)


def _prompt_tokens(params: Params, group: RequestGroup) -> float:
    if group.stage == "verify":  # the problem and what follows the reasoning
        return PROBLEM_PROMPT.value + PLAIN_REPLY.value
    if group.stage != "judge":
        return PROBLEM_PROMPT.value
    limit = params.serving[group.model].max_model_len - group.max_tokens
    whole = RUBRIC_PROMPT.value + trace_tokens(params, group.name.split()[0])
    return min(limit, whole)  # longer traces lose their middle


def asking_hours(count: Tokens, size: Size, speed: Speed) -> float:
    """Return the hours of one GPU, assuming that tensor parallelism costs nothing."""
    seconds = count.read / speed.reading + count.written / speed.writing
    return 2 * size.active * seconds / HOUR_S


def training_tokens(train: TrainParams, pairs: int, side: float) -> float:
    """Return the tokens of one epoch. `side` is the tokens of prompt and completion of one side."""
    sides = 1 if train.method == "sft" else 2
    return pairs * sides * min(train.max_length, side)


def training_hours(train: TrainParams, epoch: float, size: Size, speed: Speed) -> float:
    """Return the hours of all epochs and of the reference log-probabilities, if any."""
    passes = (8 if train.gradient_checkpointing else 6) * train.method_params.num_train_epochs
    reference = 0 if train.method == "sft" else 2
    flop = size.parameters * ATTENTION.value * (passes + reference)
    return epoch * flop / speed.training / HOUR_S


def serving_fit(serving: ServingParams, size: Size, gpu: Gpu, utilization: float) -> Fit:
    """Fit weights, the KV cache of one full reply and the engine itself on the model's GPUs."""
    free = gpu.gib * utilization - ENGINE_GIB.value
    cache = (size.kv_bytes or 0) * serving.max_model_len / GIB
    needed = size.weights / GIB + cache
    if needed / serving.tensor_parallel_size > free:
        enough = [n for n in TENSOR_PARALLEL_SIZES if needed / n <= free]
        cure = f"tensor_parallel_size {enough[0]} or more" if enough else "over 16 GPUs"
        return Fit(fits=False, words=f"does not fit: {cure}")
    if not cache:
        return Fit(fits=True, words="fits; its cache is not known")
    left = free * serving.tensor_parallel_size - size.weights / GIB
    return Fit(fits=True, words=f"fits, {int(left / cache):,} full replies at once")


def training_bytes(train: TrainParams, size: Size) -> float:
    """Return the bytes of weights, gradients and moments on each GPU, without activations."""
    width = BYTES[train.dtype]
    moments = 2 if train.optim == "adamw_8bit" else 2 * width
    each = width if train.lora is not None else 2 * width + moments
    shards = train.num_processes if train.fsdp else 1
    return size.parameters * each / shards


def training_fit(train: TrainParams, size: Size, gpu: Gpu) -> Fit:
    used = training_bytes(train, size) / GIB / gpu.gib
    if used > 1:
        return Fit(fits=False, words="does not fit: more processes with fsdp2, or lora")
    if used > 1 - ACTIVATIONS.value:
        return Fit(fits=False, words=f"tight: {1 - used:.0%} of the GPU for activations")
    return Fit(fits=True, words=f"fits, with {1 - used:.0%} of the GPU for activations")


def checkpoint_bytes(train: TrainParams, size: Size) -> float:
    """Return the bytes of the last and the next checkpoint, and of the best with early stopping."""
    kept = 2 if train.early_stopping is None else 3
    each = 0.0 if train.lora is not None else OPTIMIZER.value
    return kept * each * size.parameters
