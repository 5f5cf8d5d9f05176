"""From requests and pairs to tokens, hours, memory and disk."""

from typing import NamedTuple

from delta.check import Params
from delta.inference import chat_formats
from delta.inference.engine import Price, ServedParams, ServingParams
from delta.inference.generate import SampledParams
from delta.plan import assumptions as assumed
from delta.plan.model_sizes import BYTES, Size
from delta.plan.requests import RequestGroup
from delta.training.config import TrainParams

GIB = 2**30
HOUR = 3_600
AT_ONCE = (1, 2, 4, 8, 16)  # cards that engines share a model between


class Card(NamedTuple):
    """What the plan reckons with; nothing is asked of the machine."""

    gib: float
    tflops: float  # peak, dense, in 16 bits


class Tokens(NamedTuple):
    read: float  # of prompts; those that share one count it once
    written: float
    at_most: float  # where every reply went to its limit


class Bill(NamedTuple):
    """US dollars, by the price list of a server."""

    usd: float
    at_most: float  # where every reply went to its limit


class Speed(NamedTuple):
    """Useful FLOP a second."""

    reading: float
    writing: float
    training: float


def speeds(params: Params, card: Card) -> tuple[Speed, Speed]:
    """Of the engine and of the trainer. What tells a CPU: a cache in GiB, and fp32 arithmetic."""
    peak = card.tflops * 1e12
    gpu = Speed(
        peak * assumed.READING.value,
        peak * assumed.DECODING.value,
        peak * assumed.TRAINING.value,
    )
    writing = assumed.CPU_DECODING.value
    cpu = Speed(writing, writing, assumed.CPU_TRAINING.value)
    engine = gpu if on_gpu(params) else cpu
    return engine, gpu if params.train.compute == "bfloat16" else cpu


def on_gpu(params: Params) -> bool:
    return params.engine.vllm.gpu_memory_utilization is not None


def reply_tokens(serving: ServingParams | ServedParams, max_tokens: int) -> float:
    """Of one reply, by what its family is like; never over the limit."""
    chat_format = chat_formats.load(serving.chat_format)
    if chat_format.begins is None:
        likely = assumed.PLAIN_REPLY
    else:
        likely = assumed.CHANNELS_REPLY if chat_format.channels else assumed.REASONING_REPLY
    return min(likely.value, max_tokens)


def trace_tokens(params: Params, generator: str) -> float:
    entry = params.generators[generator]
    if isinstance(entry, SampledParams):
        return reply_tokens(params.serving[entry.model], entry.max_tokens)
    return assumed.REASONING_REPLY.value


def tokens(params: Params, item: RequestGroup) -> Tokens:
    """Of the requests that are left to ask. A measured mean counts more than an assumption."""
    read, written, at_most = billed_tokens(params, item)
    asked = item.to_ask or 0
    prompts = min(asked, (item.found.total or 0) / item.per_prompt)
    return Tokens(read * prompts / max(1, asked), written, at_most)


def billed_tokens(params: Params, item: RequestGroup) -> Tokens:
    """The same as a provider counts them: a prompt as often as it is sent."""
    asked = item.to_ask or 0
    serving = params.serving[item.model]
    read = item.found.prompt_tokens or _prompt_tokens(params, item)
    written = item.found.reply_tokens or reply_tokens(serving, item.max_tokens)
    return Tokens(read * asked, written * asked, item.max_tokens * asked)


def bill(count: Tokens, price: Price) -> Bill:
    """What so many tokens cost, as `billed_tokens` counts them."""
    million = 1_000_000
    prompts = count.read * price.prompt
    return Bill(
        (prompts + count.written * price.completion) / million,
        (prompts + count.at_most * price.completion) / million,
    )


def _prompt_tokens(params: Params, item: RequestGroup) -> float:
    if item.stage == "verify":  # the problem and what follows the reasoning
        return assumed.PROBLEM_PROMPT.value + assumed.PLAIN_REPLY.value
    if item.stage != "judge":
        return assumed.PROBLEM_PROMPT.value
    room = params.serving[item.model].max_model_len - item.max_tokens
    whole = assumed.RUBRIC_PROMPT.value + trace_tokens(params, item.name.split()[0])
    return min(room, whole)  # longer traces lose their middle


def asking_hours(count: Tokens, size: Size, speed: Speed) -> float:
    """Of one card; sharing a model between cards is taken to cost nothing."""
    flop = 2 * size.active
    return flop * (count.read / speed.reading + count.written / speed.writing) / HOUR


def training_tokens(train: TrainParams, pairs: int, side: float) -> float:
    """Tokens of one epoch. `side`: prompt and completion of one side of a pair."""
    sides = 1 if train.method == "sft" else 2
    return pairs * sides * min(train.max_length, side)


def training_hours(train: TrainParams, epoch: float, size: Size, speed: Speed) -> float:
    """All epochs, and one forward pass for the reference where the method has one."""
    passes = (8 if train.gradient_checkpointing else 6) * train.own.epochs
    reference = 0 if train.method == "sft" else 2
    flop = size.parameters * assumed.ATTENTION.value * (passes + reference)
    return epoch * flop / speed.training / HOUR


class Fit(NamedTuple):
    """Whether something fits a card."""

    fits: bool
    words: str


def serving_fit(serving: ServingParams, size: Size, card: Card, share: float) -> Fit:
    """Weights, one whole reply in the cache and the engine itself, on the cards that share them."""
    room = card.gib * share - assumed.ENGINE_GIB.value
    cache = (size.kv_bytes or 0) * serving.max_model_len / GIB
    needed = size.weights / GIB + cache
    if needed / serving.tensor_parallel_size > room:
        enough = [cards for cards in AT_ONCE if needed / cards <= room]
        cure = (
            f"tensor_parallel_size {enough[0]} or more" if enough else f"over {AT_ONCE[-1]} cards"
        )
        return Fit(fits=False, words=f"does not fit: {cure}")
    if not cache:
        return Fit(fits=True, words="fits; its cache is not known")
    left = room * serving.tensor_parallel_size - size.weights / GIB
    return Fit(fits=True, words=f"fits, {int(left / cache):,} full replies at once")


def training_bytes(train: TrainParams, size: Size) -> float:
    """Weights, gradients and moments on each card; activations come on top."""
    width = BYTES[train.weights]
    if train.lora is not None:
        each = float(width)
    else:
        each = width + width + (2 if train.optimizer == "adamw_8bit" else 2 * width)
    shared = train.launch.processes if train.launch.sharding == "fsdp2" else 1
    return size.parameters * each / shared


def training_fit(train: TrainParams, size: Size, card: Card) -> Fit:
    used = training_bytes(train, size) / GIB / card.gib
    if used > 1:
        return Fit(fits=False, words="does not fit: more processes with fsdp2, or lora")
    if used > 1 - assumed.ACTIVATIONS.value:
        return Fit(fits=False, words=f"tight: {1 - used:.0%} of the card for activations")
    return Fit(fits=True, words=f"fits, with {1 - used:.0%} of the card for activations")


def checkpoint_bytes(train: TrainParams, size: Size) -> float:
    """The last, the best where a rule looks for it, and one while it is being written."""
    kept = 2 if train.convergence is None else 3
    each = 0.0 if train.lora is not None else assumed.OPTIMIZER.value
    return kept * each * size.parameters
