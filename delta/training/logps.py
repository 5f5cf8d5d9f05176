"""Compute log-probabilities of completions, in this process or in others that end.

On a GPU only a process that ends frees all memory for the training that follows: the CUDA context
stays in every other, and TRL's fused head makes the model refer to itself. One process runs on each
GPU. On a CPU with `num_processes` 1 the model is in this process, which saves 10 s of imports.
"""

import functools
import gc
import itertools
import multiprocessing
import os
import signal
from collections.abc import Generator, Iterable
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch
from pebble import ProcessExpired, ProcessPool

from delta.core import processes
from delta.core.errors import IncompleteError
from delta.training import model_io, padding_free
from delta.training.config import TrainParams
from delta.training.trl_adapter import add_fused_lm_head

TokenSequence = tuple[tuple[int, ...], tuple[int, ...]]  # token ids of prompt and completion
Batch = dict[str, TokenSequence]
Results = Generator[tuple[str, float], None, None]


def devices(params: TrainParams) -> list[str]:
    """Return the device of each process: all GPUs, or `num_processes` of them if above 1."""
    if not torch.cuda.is_available():
        return ["cpu"] * params.num_processes
    count = torch.cuda.device_count()
    if params.num_processes > 1:
        count = min(count, params.num_processes)
    return [f"cuda:{number}" for number in range(count)]


def compute(params: TrainParams, base: Path, batches: list[Batch]) -> Results:
    """Yield the key and the log-probability (nats) of every sequence, as batches are finished.

    Nothing of the model is left when the iterator ends or is closed. Raises IncompleteError where a
    process is killed.
    """
    places = devices(params)
    if places == ["cpu"]:
        yield from _compute_here(params, base, batches)
    else:
        yield from _compute_in_processes(params, base, batches, places)


def _compute_here(params: TrainParams, base: Path, batches: list[Batch]) -> Results:
    model = _load(base, params.dtype, "cpu")
    try:
        for batch in batches:
            yield from zip(batch, completion_logps(model, batch.values(), params.bf16), strict=True)
    finally:
        # The patched forward holds the model and the model its forward: only without it does `del`
        # free the weights at once.
        del model.forward
        del model
        gc.collect()


def _compute_in_processes(
    params: TrainParams, base: Path, batches: list[Batch], places: list[str]
) -> Results:
    threads = max(1, len(os.sched_getaffinity(0)) // len(places))
    spawn = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    pools = [
        ProcessPool(max_workers=1, context=spawn, initializer=start_process, initargs=[threads])
        for _ in places
    ]
    arguments = (base, params.dtype, params.bf16)
    try:
        futures: dict[Future[list[float]], Batch] = {
            pool.schedule(_logps_in_process, args=(*arguments, place, batch)): batch
            for batch, (pool, place) in zip(
                batches, itertools.cycle(zip(pools, places, strict=True)), strict=False
            )
        }
        for future in as_completed(futures):
            yield from zip(futures[future], future.result(), strict=True)
    except (ProcessExpired, BrokenProcessPool) as error:
        raise IncompleteError(
            "a process of the reference pass was killed, as the system does where memory is full: "
            f"each of {len(places)} processes loads {base}. What is computed is kept; run again, "
            "or with a smaller train.num_processes"
        ) from error
    finally:
        for pool in pools:
            pool.stop()  # type: ignore[no-untyped-call]
        for pool in pools:
            pool.join()


def start_process(threads: int) -> None:
    """Begin a process that computes on a GPU for this one."""
    processes.end_with_parent(signal.SIGKILL)  # else it would hold a GPU after a killed stage
    torch.set_num_threads(threads)


@functools.cache
def _model(base: Path, dtype: str, device: str) -> Any:
    """Return the model of this process, loaded for its first batch."""
    return _load(base, dtype, device)


def _load(base: Path, dtype: str, device: str) -> Any:
    model = model_io.load(base, dtype, device)
    add_fused_lm_head(model)  # never stores the vocabulary's logits for all tokens
    padding_free.enable_padding_free(model)
    return model


def _logps_in_process(base: Path, dtype: str, bf16: bool, device: str, batch: Batch) -> list[float]:
    return completion_logps(_model(base, dtype, device), batch.values(), bf16)


def completion_logps(model: Any, sequences: Iterable[TokenSequence], bf16: bool) -> list[float]:
    """Return for each sequence the sum of log p(token | all before) over its completion (nats).

    The sequences are one batch of the model, which has TRL's fused head.
    """
    pairs = [(torch.tensor(prompt + completion), len(prompt)) for prompt, completion in sequences]
    shape = (len(pairs), max(len(ids) for ids, _ in pairs))
    input_ids = torch.zeros(shape, dtype=torch.long)
    mask = torch.zeros_like(input_ids)
    labels = torch.full_like(input_ids, -100)  # -100: not counted
    for row, (ids, start) in enumerate(pairs):
        input_ids[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
        labels[row, start : len(ids)] = ids[start:]
    inputs = {"input_ids": input_ids, "attention_mask": mask, "labels": labels}
    inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
    with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        logps = model(**inputs, fused_lm_head=True).log_probs
    sums: list[float] = logps.float().sum(dim=1).tolist()
    return sums
