"""Estimate tokens, hours and dollars of a run from its requests and pairs.

Estimates rest on delta.plan.assumptions, which every plan prints. No result depends on them.
"""

from collections.abc import Sequence
from typing import NamedTuple

from delta.check import Params, max_pairs
from delta.core import paths
from delta.core.schemas import SELECTED, TRACE
from delta.inference import chat_formats
from delta.inference.config import Price, ServingParams
from delta.inference.generate import SampledParams, SolvedParams
from delta.plan.assumptions import (
    ARITHMETIC_PROMPT,
    ATTENTION,
    CHANNELS_REPLY,
    CPU_ENGINE_S,
    CPU_STAGE_S,
    PLAIN_REPLY,
    PROBLEM_PROMPT,
    REASONING_REPLY,
    RUBRIC_PROMPT,
    WORKED_REPLY,
)
from delta.plan.model_sizes import Size
from delta.plan.requests import (
    AT_MOST,
    EXACT,
    UNKNOWN,
    RequestGroup,
    Workspace,
    read_current_table,
)
from delta.plan.speeds import Gpu, Lengths, Rates, cpu_rates, gpu_rates, training_flops
from delta.training.config import TrainParams

HOUR_S = 3_600


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
    hours: float | None  # of GPUs or CPUs; a model at a server takes none
    bill: Bill | None
    last_hours: float = 0.0  # on the clock, for a reply of max_tokens that is alone at the end


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


def engine_uses_gpu(params: Params) -> bool:
    """Return whether vLLM runs on GPUs."""
    return params.engine.vllm.gpu_memory_utilization is not None


def uses_gpu(params: Params) -> bool:
    """Return whether the profile is for GPUs. Training then runs on them in float32 too."""
    return engine_uses_gpu(params) or params.train.bf16


def reply_tokens(params: Params, model: str, max_tokens: int) -> float:
    """Return the assumed tokens of a reply of this model, at most `max_tokens`."""
    chat_format = chat_formats.load(params.serving[model].chat_format)
    weights = params.train.base if model == paths.POLICY else model
    if weights in params.sft_models:
        assumed = WORKED_REPLY
    elif chat_format.begins is None:
        assumed = PLAIN_REPLY
    else:
        assumed = CHANNELS_REPLY if chat_format.channels else REASONING_REPLY
    return min(assumed.value, max_tokens)


def trace_tokens(params: Params, generator: str) -> float:
    """Return the mean tokens of a trace of a generator."""
    entry = params.generators[generator]
    if isinstance(entry, SampledParams):
        return reply_tokens(params, entry.model, entry.max_tokens)
    return (WORKED_REPLY if isinstance(entry, SolvedParams) else REASONING_REPLY).value


def request_cost(params: Params, group: RequestGroup, size: Size | None, gpu: Gpu) -> Cost:
    """Return the cost of the requests left, to an engine on `gpu` or to the model's server."""
    tokens = None if group.to_ask is None else request_tokens(params, group)
    if params.serving[group.model].server is not None:
        _, price = server_of(params, group.model)
        usd = Bill(0, 0) if group.to_ask == 0 else None
        return Cost(group, tokens, 0.0, server_bill(tokens, price) if tokens and price else usd)
    hours = 0.0 if group.to_ask == 0 else None
    if tokens is not None and size is not None and group.to_ask:
        hours = asking_hours(params, group, tokens, size, gpu)
        return Cost(group, tokens, hours, None, last_hours(params, group, size, gpu))
    return Cost(group, tokens, hours, None)


def asking_hours(
    params: Params, group: RequestGroup, tokens: Tokens, size: Size, gpu: Gpu
) -> float:
    """Return the hours of all GPUs of a replica, or of two CPU cores, for the requests left."""
    serving, vllm = params.serving[group.model], params.engine.vllm
    assert isinstance(serving, ServingParams)  # no server answers
    if not engine_uses_gpu(params):
        return answering_seconds(tokens, cpu_rates(size)) / HOUR_S
    to_ask = group.to_ask or 1
    lengths = Lengths(tokens.sent / to_ask, tokens.written / to_ask, group.per_prompt)
    rates = gpu_rates(serving, size, vllm, gpu, lengths)
    return serving.tensor_parallel_size * answering_seconds(tokens, rates) / HOUR_S


def last_hours(params: Params, group: RequestGroup, size: Size, gpu: Gpu) -> float:
    """Return the hours on the clock of the longest reply, as one of many has max_tokens."""
    serving = params.serving[group.model]
    if not engine_uses_gpu(params) or not isinstance(serving, ServingParams):
        return 0.0
    alone = serving.model_copy(update={"max_num_seqs": 1})
    rates = gpu_rates(alone, size, params.engine.vllm, gpu, Lengths(0, group.max_tokens, 1))
    return group.max_tokens / rates.writing / HOUR_S


def answering_seconds(tokens: Tokens, rates: Rates) -> float:
    """Return the seconds in which one replica reads and writes so many tokens."""
    return tokens.read / rates.reading + tokens.written / rates.writing


def server_of(params: Params, model: str) -> tuple[str, Price | None]:
    """Return the name of the model's server, and its price there."""
    name = params.engine.server_of(model)
    return name, params.engine.servers[name].models[model]


def request_tokens(params: Params, group: RequestGroup) -> Tokens:
    """Return the tokens of the requests left. Means of cached replies replace assumptions."""
    to_ask = group.to_ask or 0
    prompt = group.prompt_tokens or _prompt_tokens(params, group)
    reply = group.reply_tokens
    reply = reply or reply_tokens(params, group.model, group.max_tokens)
    prompts = min(to_ask, (group.total or 0) / group.per_prompt)
    return Tokens(prompt * prompts, prompt * to_ask, reply * to_ask, group.max_tokens * to_ask)


def server_bill(tokens: Tokens, price: Price) -> Bill:
    """Return the expected bill, and the bill if every reply has `max_tokens` tokens."""
    prompts = tokens.sent * price.prompt
    usd, at_most = (prompts + n * price.completion for n in (tokens.written, tokens.at_most))
    return Bill(usd / 1e6, at_most / 1e6)


def _prompt_tokens(params: Params, group: RequestGroup) -> float:
    if group.stage == "verify":  # the problem and what follows the reasoning
        return PROBLEM_PROMPT.value + PLAIN_REPLY.value
    if group.stage == "evaluate":
        source = params.benchmarks[group.name.split()[1]].source
        return (ARITHMETIC_PROMPT if source.format == "arithmetic" else PROBLEM_PROMPT).value
    if group.stage != "judge":
        return problem_tokens(params)
    limit = params.serving[group.model].max_model_len - group.max_tokens
    whole = RUBRIC_PROMPT.value + trace_tokens(params, group.name.split()[0])
    return min(limit, whole)  # longer traces lose their middle


def problem_tokens(params: Params) -> float:
    """Return the assumed tokens of the prompt of one of the run's problems."""
    sources = params.problems.sources.values()
    is_arithmetic = all(source.arithmetic is not None for source in sources)
    return (ARITHMETIC_PROMPT if is_arithmetic else PROBLEM_PROMPT).value


def training_tokens(train: TrainParams, pairs: int, side: float) -> float:
    """Return the tokens of one epoch. `side` is the tokens of prompt and completion of one side."""
    sides = 1 if train.method == "sft" else 2
    return pairs * sides * min(train.max_length, side)


def num_evaluations(train: TrainParams, pairs: int) -> int:
    """Return how often a whole run measures the held-out loss, with both ends of the run."""
    if train.early_stopping is None:
        return 0
    return round(num_steps(train, pairs) / train.early_stopping.eval_steps) + 2


def num_steps(train: TrainParams, pairs: int) -> float:
    """Return the optimizer steps of a run that is not stopped early."""
    batch = train.per_device_train_batch_size * train.num_processes
    batch *= train.gradient_accumulation_steps
    return train.method_params.max_steps or train.epochs(pairs) * max(1, pairs / batch)


def training_hours(train: TrainParams, pairs: int, side: float, size: Size, flops: float) -> float:
    """Return the hours of one GPU, or of two CPU cores, for all steps, the reference and all
    evaluations. A token takes 2 FLOP a parameter forward, 4 backward and 2 for recomputing.
    """
    held_out = 0.0 if train.early_stopping is None else train.early_stopping.held_out * pairs
    trained = max(1, round(pairs - held_out))
    step = (8 if train.gradient_checkpointing else 6) + 2 * (train.method == "kto")
    passes = step * train.epochs(trained) * trained  # of one pair
    passes += 2 * (train.method != "sft") * pairs + 2 * held_out * num_evaluations(train, trained)
    flop = size.parameters * ATTENTION.value * passes
    return training_tokens(train, 1, side) * flop / flops / HOUR_S


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
    tokens, hours = training_tokens(train, pairs, side) * train.epochs(pairs), None
    if size is not None:
        flops = training_flops(gpu if uses_gpu(params) else None, train.bf16)
        hours = training_hours(train, pairs, side, size, flops)
    return TrainingCost(pairs, basis, side, tokens, hours)


def wall_time(
    params: Params, num_stages: int, requests: Sequence[Cost], trainings: Sequence[TrainingCost]
) -> WallTime | None:
    """Return the time of `num_stages` stages; None: on GPUs, at a server, or with unknown parts."""
    asked = [cost.group for cost in requests if cost.group.to_ask != 0]
    hours = [cost.hours for cost in requests] + [training.hours for training in trainings]
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
    return problem_tokens(workspace.params) + trace_tokens(workspace.params, generator)
