"""Measure how far training moved the policy from the base, on a sample of the trained pairs.

After the last step both models read both traces of each sampled pair. This gives the
log-probability of each trace under either model, so the margin of each pair, and the divergence of
the two models at the tokens of the chosen traces.

`kl_per_token` is the mean of KL(policy || base) over the tokens of chosen traces, each computed
exactly over the vocabulary. It is not the divergence of the two models' own answers: that would
need samples of the policy.
"""

import functools
import gc
import multiprocessing
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pebble import ProcessExpired, ProcessPool

from delta.core.schemas import SIDES
from delta.core.shuffle import shuffle_key
from delta.core.types import Counts, Row
from delta.training import logps, model_io
from delta.training.config import TrainParams

KEY = "policy_against_base"
MAX_PAIRS = 32
MAX_TOKENS = 64  # of a trace, evenly spaced: the base's distributions are kept, 600 KB each
MAX_COST = 0.21  # of the passes of the training: of 32 DPO pairs read, 10; loading comes on top
PASSES_OF_TRAINING = 3  # a backward pass costs two forward passes
PASSES_OF_PAIR = 4  # two models, two traces


class TraceMeasure(NamedTuple):
    """A trace under one model."""

    logp: float  # nats, summed over the completion
    log_probs: torch.Tensor  # tokens x vocabulary, at the sampled tokens; none of a rejected trace


def sample_pairs(params: TrainParams, pairs: Sequence[Row], steps: int) -> list[Row]:
    """Return the pairs to measure after `steps` optimizer steps: the same ones for every seed.

    Measuring them costs at most MAX_COST of the training, but one pair is always measured.
    """
    sides = 1 if params.method == "sft" else 2
    batch = params.per_device_train_batch_size * params.num_processes
    read = steps * params.gradient_accumulation_steps * batch
    affordable = int(MAX_COST * read * sides * PASSES_OF_TRAINING / PASSES_OF_PAIR)
    shuffled = sorted(pairs, key=lambda pair: shuffle_key(0, "measured", pair["pair_id"]))
    return shuffled[: max(1, min(MAX_PAIRS, affordable))]


def measure(
    params: TrainParams,
    folders: tuple[Path, Path],
    pairs: Sequence[Row],
    warn: Callable[[str], None],
) -> Counts:
    """Return {KEY: summarize(...)} of `pairs`, rows of dataset.tokenize_pairs.

    `folders` are those of base and policy. Equal pair sets are one training, so it does not read
    the pairs' deltas: `pair_ids` names the pairs whose margins a report compares with them. The
    result is {KEY: None}, with a warning, where the memory is too small: the policy is
    complete, and a long training must not end there.
    """
    device = logps.devices(params)[0]
    try:
        if device == "cpu":
            result = _measure(params, folders, list(pairs), device)
        else:
            result = _measure_in_process(params, folders, list(pairs), device)
    except (torch.OutOfMemoryError, ProcessExpired, BrokenProcessPool) as error:
        warn(f"the policy is not compared with the base: {type(error).__name__} on {device}")
        return {KEY: None}
    return {KEY: result | {"pair_ids": [pair["pair_id"] for pair in pairs]}}


def _measure_in_process(
    params: TrainParams, folders: tuple[Path, Path], pairs: list[Row], device: str
) -> Counts:
    """Measure in a process that ends, because this one keeps the trainer's memory in part."""
    gc.collect()
    torch.cuda.empty_cache()
    spawn = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    start = functools.partial(logps.start_process, torch.get_num_threads())
    with ProcessPool(max_workers=1, context=spawn, initializer=start) as pool:
        result: Counts = pool.schedule(_measure, args=(params, folders, pairs, device)).result()
    return result


def _measure(
    params: TrainParams, folders: tuple[Path, Path], pairs: list[Row], device: str
) -> Counts:
    # The weights of merged adapters would lose the update in bfloat16.
    dtype = params.dtype if params.lora is None else "float32"
    base = _read_pairs(model_io.load(folders[0], dtype, device), pairs, params.bf16)
    policy_model = model_io.load(folders[1], dtype, device)
    divergences: list[float] = []
    policy = []
    for pair, before in zip(pairs, base, strict=True):
        (after,) = _read_pairs(policy_model, [pair], params.bf16)
        divergences += divergence(after["chosen"].log_probs, before["chosen"].log_probs)
        policy.append({side: after[side].logp for side in SIDES})
    sums = [{side: before[side].logp for side in SIDES} for before in base]
    return summarize(sums, policy, divergences)


def _read_pairs(model: Any, pairs: list[Row], bf16: bool) -> list[dict[str, TraceMeasure]]:
    model.eval()
    return [
        {
            side: read_trace(model, pair["prompt_ids"], pair[f"{side}_ids"], bf16, side == "chosen")
            for side in SIDES
        }
        for pair in pairs
    ]


def read_trace(
    model: Any, prompt: list[int], completion: list[int], bf16: bool, keep: bool
) -> TraceMeasure:
    """Return a completion under a model; with `keep` also the distributions at its tokens."""
    ids = torch.tensor([prompt + completion], device=model.device)
    # The token at a position is predicted at the one before.
    before = torch.arange(len(prompt) - 1, ids.shape[1] - 1, device=model.device)
    with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        logits = model(input_ids=ids, logits_to_keep=before, use_cache=False).logits[0]
    log_probs = torch.log_softmax(logits.float(), dim=-1)
    own = log_probs.gather(1, ids[0, len(prompt) :, None])
    step = -(-len(completion) // MAX_TOKENS)
    kept = log_probs[::step] if keep else log_probs[:0]
    # A copy, because a view would keep the distributions at all tokens.
    return TraceMeasure(float(own.sum()), kept.to("cpu", copy=True))


def divergence(policy: torch.Tensor, base: torch.Tensor) -> list[float]:
    """Return KL(policy || base) in nats at each token. Both are tokens x vocabulary, log p."""
    values: list[float] = (policy.exp() * (policy - base)).sum(dim=1).tolist()
    return values


def summarize(
    base: Sequence[Mapping[str, float]],
    policy: Sequence[Mapping[str, float]],
    divergences: Sequence[float],
) -> Counts:
    """Return means over pairs (nats a trace), the KL (nats a token) and the margin of each pair.

    A pair's margin is how much more the chosen trace's log-probability rose than the rejected
    one's; the reward margin of DPO and KTO is beta times it.
    """
    counts: Counts = {"pairs": len(base), "tokens": len(divergences)}
    for side in SIDES:
        before, after = (statistics.fmean(row[side] for row in rows) for rows in (base, policy))
        counts[side] = {
            "base": round(before, 4),
            "policy": round(after, 4),
            "change": round(after - before, 4),
        }
    margins = [
        (ours["chosen"] - theirs["chosen"]) - (ours["rejected"] - theirs["rejected"])
        for ours, theirs in zip(policy, base, strict=True)
    ]
    return counts | {
        "kl_per_token": round(statistics.fmean(divergences), 6),
        "margin": round(statistics.fmean(margins), 4),
        "margins": [round(margin, 4) for margin in margins],
    }
