"""Log-probabilities of completions under the reference model, computed once per completion.

They belong to a prompt and a trace, not to a pair, so they are stored in the reply cache. Every set
of pairs with the same traces reuses them, and an interrupted pass resumes. Those of KTO's
mismatched completions are stored in the same way, with the prompt they follow.
"""

import hashlib
import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
import trl

from delta.core.errors import IncompleteError
from delta.core.types import Progress
from delta.inference.reply_cache import ReplyCache
from delta.training import logps
from delta.training.config import TrainParams
from delta.training.dataset import REFERENCE_COLUMNS
from delta.training.logps import Batch, TokenSequence

# Padded tokens in a forward pass; a longer sequence is alone in its pass. Enough to keep two cores
# or a GPU busy; does not affect the result.
TOKENS_PER_BATCH = 2_048


def add_reference(
    params: TrainParams,
    rows: list[dict[str, Any]],
    base: Path,
    fingerprint: str,
    cache: ReplyCache,
    progress: Progress,
) -> int:
    """Add the columns of REFERENCE_COLUMNS to every row (nats, summed over the completion).

    Return how many were computed because they were not in the cache. The base is loaded only for
    those. Raises IncompleteError for a log-probability that is not finite.
    """
    # Training runs on the same device with the same kernel: its first margin must be 0.
    device = logps.devices(params)[0].partition(":")[0]
    setting = (
        f"{fingerprint} {device} {params.dtype} {'bfloat16' if params.bf16 else 'float32'} "
        f"torch {torch.__version__} trl {trl.__version__}"
    )
    references = [
        (row, column, (tuple(row["prompt_ids"]), tuple(row[completion])))
        for row in rows
        for column, completion in REFERENCE_COLUMNS[params.method].items()
    ]
    sequences = {_key(setting, sequence): sequence for _, _, sequence in references}
    known = {key: _cached(cache, key) for key in sequences}
    missing = {key: sequences[key] for key, logp in known.items() if logp is None}
    if missing:
        with closing(logps.compute(params, base, list(_batches(missing)))) as results:
            for key, logp in progress(results, len(missing)):
                _check_finite(logp, missing[key], base, params)
                cache.put(key, {"logp": logp})
                known[key] = logp
    for row, column, sequence in references:
        row[column] = known[_key(setting, sequence)]
    return len(missing)


def _cached(cache: ReplyCache, key: str) -> float | None:
    """Return the cached log-probability; None if it is missing or damaged."""
    record = cache.get(key)
    logp = record.get("logp") if record is not None and len(record) == 1 else None
    return logp if isinstance(logp, float) and math.isfinite(logp) else None


def _key(setting: str, sequence: TokenSequence) -> str:
    prompt, completion = sequence
    text = f"{setting} {list(prompt)} {list(completion)}"
    return hashlib.sha256(text.encode()).hexdigest()


def _check_finite(logp: float, sequence: TokenSequence, base: Path, params: TrainParams) -> None:
    if not math.isfinite(logp):
        raise IncompleteError(
            f"{base}: the log-probability of a completion of {len(sequence[1])} tokens is {logp}; "
            "expected a finite number; its weights are damaged, or overflow with train.dtype = "
            f"{params.dtype!r} and train.bf16 = {params.bf16}"
        )


def _batches(sequences: dict[str, TokenSequence]) -> Iterator[Batch]:
    """Group sequences of similar length, so that little of a batch is padding, the longest first.

    Where the memory is too small, the first batch says so.
    """
    batch: Batch = {}
    by_length = sorted(sequences.items(), key=lambda item: -sum(map(len, item[1])))
    longest = 0
    for key, sequence in by_length:
        if not batch:
            longest = sum(map(len, sequence))
        elif (len(batch) + 1) * longest > TOKENS_PER_BATCH:
            yield batch
            batch, longest = {}, sum(map(len, sequence))
        batch[key] = sequence
    if batch:
        yield batch
