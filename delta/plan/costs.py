"""Estimate tokens, hours and dollars of a run from its requests and pairs.

Estimates rest on the assumptions in this file, which every plan prints. No result depends on them.
"""

from collections.abc import Sequence
from typing import NamedTuple

from delta.check import Params, max_pairs
from delta.core import paths
from delta.core.schemas import SELECTED, TRACE
from delta.inference import chat_formats
from delta.inference.config import Price, ServingParams, WeightlessServingParams
from delta.inference.generate import SampledParams
from delta.plan.model_sizes import Size
from delta.plan.pending import CHARS_PER_TOKEN, UNRESOLVED_FRACTION
from delta.plan.requests import (
    AT_MOST,
    EXACT,
    UNKNOWN,
    RequestGroup,
    Workspace,
    read_current_table,
)
from delta.training.config import TrainParams

HOUR_S = 3_600


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
# Of two cores, by bench/RESULTS.md. Reading is by the difference that prefix caching makes in
# `generation_throughput`: without it 57 tokens/s instead of 260, for 122,560 more tokens read.
CPU_DECODING = Assumption(7.4e10, "FLOP/s of two cores writing: SmolLM2-135M at 275 tokens/s")
CPU_READING = Assumption(2e11, "FLOP/s of two cores reading prompts: SmolLM2-135M at 740 tokens/s")
CPU_TRAINING = Assumption(9e10, "FLOP/s of two cores in training: SmolLM2-135M at 106 tokens/s")
CPU_ENGINE_S = Assumption(
    28, "s of two cores to import vLLM and load weights: docs/lab-notebook.md"
)
CPU_STAGE_S = Assumption(4, "s of two cores for any other stage: docs/benchmarks.md")
ATTENTION = Assumption(
    1.05, "x 2 FLOP a parameter and token forward, 4 backward, 2 for recomputing"
)
OPTIMIZER = Assumption(12, "bytes a parameter in a checkpoint: fp32 weights, two moments of Adam")
ENGINE_GIB = Assumption(3, "GiB of a GPU for the engine besides weights and cache")
ACTIVATIONS = Assumption(0.25, "of a GPU left for activations in training")
COPIES = Assumption(3, "copies of fetched weights: hub cache, data/models, DVC's cache")
GPU_ONLY = (DECODING, READING, TRAINING, ENGINE_GIB, ACTIVATIONS)
CPU_ONLY = (CPU_DECODING, CPU_READING, CPU_TRAINING, CPU_ENGINE_S, CPU_STAGE_S)


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
    sent: float  # tokens of prompts as a provider bills them: every request pays for its prompt
    written: float
    at_most: float  # written if every reply has max_tokens


class Bill(NamedTuple):
    """US dollars by the prices of a server."""

    usd: float
    at_most: float  # if every reply has max_tokens


class Cost(NamedTuple):
    """The cost of one group of requests. None: not known."""

    group: RequestGroup
    tokens: Tokens | None
    hours: float | None  # a model at a server takes none
    bill: Bill | None


class TrainingCost(NamedTuple):
    pairs: int | None  # None: not known, and neither is the rest
    basis: str
    side: float = 0  # mean tokens of prompt and completion
    tokens: float = 0  # of all epochs
    hours: float | None = None  # None: nor is the size of the model


class WallTime(NamedTuple):
    """The time of a run on two CPU cores, from its first stage to its last."""

    hours: float
    engines: int  # stages that load a model to ask it
    others: int  # other stages


class Speed(NamedTuple):
    """Useful FLOP per second."""

    reading: float
    writing: float
    training: float


def engine_uses_gpu(params: Params) -> bool:
    return params.engine.vllm.gpu_memory_utilization is not None


def uses_gpu(params: Params) -> bool:
    return engine_uses_gpu(params) or params.train.bf16


def machine_speed(gpu: Gpu, on_gpu: bool) -> Speed:
    if not on_gpu:
        return Speed(CPU_READING.value, CPU_DECODING.value, CPU_TRAINING.value)
    peak = gpu.tflops * 1e12
    return Speed(peak * READING.value, peak * DECODING.value, peak * TRAINING.value)


def reply_tokens(serving: ServingParams | WeightlessServingParams, max_tokens: int) -> float:
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


def request_cost(params: Params, group: RequestGroup, size: Size | None, gpu: Gpu) -> Cost:
    """Return the cost of the requests left, to an engine on `gpu` or to the model's server."""
    tokens = None if group.to_ask is None else request_tokens(params, group)
    if params.serving[group.model].server is not None:
        _, price = server_of(params, group.model)
        usd = Bill(0, 0) if group.to_ask == 0 else None
        return Cost(group, tokens, 0.0, server_bill(tokens, price) if tokens and price else usd)
    hours = 0.0 if group.to_ask == 0 else None
    if tokens is not None and size is not None:
        hours = generation_hours(tokens, size, machine_speed(gpu, engine_uses_gpu(params)))
    return Cost(group, tokens, hours, None)


def server_of(params: Params, model: str) -> tuple[str, Price | None]:
    """Return the name of the model's server, and its price there."""
    name = params.engine.server_of(model)
    return name, params.engine.servers[name].models[model]


def request_tokens(params: Params, group: RequestGroup) -> Tokens:
    """Return the tokens of the requests left. Means of cached replies replace assumptions."""
    to_ask = group.to_ask or 0
    prompt = group.prompt_tokens or _prompt_tokens(params, group)
    reply = group.reply_tokens
    reply = reply or reply_tokens(params.serving[group.model], group.max_tokens)
    prompts = min(to_ask, (group.total or 0) / group.per_prompt)
    return Tokens(prompt * prompts, prompt * to_ask, reply * to_ask, group.max_tokens * to_ask)


def server_bill(tokens: Tokens, price: Price) -> Bill:
    prompts = tokens.sent * price.prompt
    usd, at_most = (prompts + n * price.completion for n in (tokens.written, tokens.at_most))
    return Bill(usd / 1e6, at_most / 1e6)


def _prompt_tokens(params: Params, group: RequestGroup) -> float:
    if group.stage == "verify":  # the problem and what follows the reasoning
        return PROBLEM_PROMPT.value + PLAIN_REPLY.value
    if group.stage != "judge":
        return PROBLEM_PROMPT.value
    limit = params.serving[group.model].max_model_len - group.max_tokens
    whole = RUBRIC_PROMPT.value + trace_tokens(params, group.name.split()[0])
    return min(limit, whole)  # longer traces lose their middle


def generation_hours(tokens: Tokens, size: Size, speed: Speed) -> float:
    """Return the hours of one GPU, assuming that tensor parallelism costs nothing."""
    seconds = tokens.read / speed.reading + tokens.written / speed.writing
    return 2 * size.active * seconds / HOUR_S


def training_tokens(train: TrainParams, pairs: int, side: float) -> float:
    """Return the tokens of one epoch. `side` is the tokens of prompt and completion of one side."""
    sides = 1 if train.method == "sft" else 2
    return pairs * sides * min(train.max_length, side)


def training_hours(
    train: TrainParams, epoch: float, epochs: float, size: Size, speed: Speed
) -> float:
    """Return the hours of all epochs and of the reference log-probabilities, if any."""
    passes = (8 if train.gradient_checkpointing else 6) * epochs
    reference = 0 if train.method == "sft" else 2
    flop = size.parameters * ATTENTION.value * (passes + reference)
    return epoch * flop / speed.training / HOUR_S


def training_cost(workspace: Workspace, size: Size | None, gpu: Gpu) -> TrainingCost | None:
    """Return the cost of all epochs; None where the policy is up to date."""
    if workspace.settled("train"):
        return None
    params, train = workspace.params, workspace.params.train
    pairs, basis = pairs_to_train(workspace)
    if pairs is None:
        return TrainingCost(None, basis)
    generators = (params.pairing.chosen, params.pairing.rejected)
    side = sum(_side_tokens(workspace, name) for name in generators) / 2
    epoch, hours = training_tokens(train, pairs, side), None
    epochs = train.epochs(pairs)
    if size is not None:
        hours = training_hours(train, epoch, epochs, size, machine_speed(gpu, train.bf16))
    return TrainingCost(pairs, basis, side, epoch * epochs, hours)


def wall_time(
    params: Params, num_stages: int, requests: Sequence[Cost], training: TrainingCost | None
) -> WallTime | None:
    """Return the time of `num_stages` stages; None: on GPUs, at a server, or with unknown parts."""
    asked = [cost.group for cost in requests if cost.group.to_ask != 0]
    hours = [cost.hours for cost in requests] + ([training.hours] if training else [])
    known = [hour for hour in hours if hour is not None]
    served = any(params.serving[group.model].server is not None for group in asked)
    if uses_gpu(params) or served or not num_stages or len(known) < len(hours):
        return None
    engines = len({(group.stage, group.name.split()[0]) for group in asked})
    others = num_stages - engines
    seconds = engines * CPU_ENGINE_S.value + others * CPU_STAGE_S.value
    return WallTime(sum(known) + seconds / HOUR_S, engines, others)


def pairs_to_train(workspace: Workspace) -> tuple[int | None, str]:
    """Return the number of pairs and its basis."""
    if workspace.settled("select"):
        selected = read_current_table(paths.SELECTED, SELECTED)
        if selected is not None:
            return selected.filter("selected").height, EXACT
    if workspace.params.selector.k is not None:
        return workspace.params.selector.k, EXACT
    pairs = max_pairs(workspace.params)
    return pairs, UNKNOWN if pairs is None else AT_MOST


def _side_tokens(workspace: Workspace, generator: str) -> float:
    """Return the mean tokens of prompt and completion, from today's traces if they will stay."""
    traces = read_current_table(paths.traces(generator), TRACE, "text")
    if traces is not None and workspace.settled(f"generate@{generator}"):
        tokens = traces.select("prompt_tokens", "completion_tokens").drop_nulls()
        if tokens.height:
            return float(tokens.sum_horizontal().sum()) / tokens.height
    return PROBLEM_PROMPT.value + trace_tokens(workspace.params, generator)
