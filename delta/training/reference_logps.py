"""Log-probabilities of completions under the reference model, computed once per completion.

They belong to a prompt and a trace, not to a pair, so they are stored in the reply cache. Every set
of pairs with the same traces reuses them, and an interrupted pass resumes. Those of KTO's
mismatched completions are stored in the same way, with the prompt they follow.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import trl

from delta.core.errors import IncompleteError
from delta.core.types import Progress
from delta.inference.reply_cache import ReplyCache
from delta.training import model_io, padding_free
from delta.training.config import TrainParams
from delta.training.dataset import REFERENCE_COLUMNS
from delta.training.trl_adapter import add_fused_lm_head

# Padded tokens in a forward pass; a longer sequence is alone in its pass. Enough to keep two cores
# or a GPU busy; does not affect the result.
TOKENS_PER_BATCH = 2_048
Sequence = tuple[tuple[int, ...], tuple[int, ...]]  # token ids of prompt and completion


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
    device = "cuda" if torch.cuda.is_available() else "cpu"
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
    logps = {key: _cached(cache, key) for key in sequences}
    missing = {key: sequences[key] for key, logp in logps.items() if logp is None}
    if missing:
        model = model_io.load(base, params.dtype).to(device)
        add_fused_lm_head(model)  # never stores the vocabulary's logits for all tokens
        padding_free.enable_padding_free(model)
        batches = list(_batches(missing))
        for batch in progress(batches, len(batches)):
            for key, logp in zip(batch, _logps(model, batch.values(), params.bf16), strict=True):
                _check_finite(logp, batch[key], base, params)
                cache.put(key, {"logp": logp})
                logps[key] = logp
        del model
        torch.cuda.empty_cache()  # the training processes use this GPU next
    for row, column, sequence in references:
        row[column] = logps[_key(setting, sequence)]
    return len(missing)


def _cached(cache: ReplyCache, key: str) -> float | None:
    """Return the cached log-probability; None if it is missing or damaged."""
    record = cache.get(key)
    logp = record.get("logp") if record is not None and len(record) == 1 else None
    return logp if isinstance(logp, float) and math.isfinite(logp) else None


def _key(setting: str, sequence: Sequence) -> str:
    prompt, completion = sequence
    text = f"{setting} {list(prompt)} {list(completion)}"
    return hashlib.sha256(text.encode()).hexdigest()


def _check_finite(logp: float, sequence: Sequence, base: Path, params: TrainParams) -> None:
    if not math.isfinite(logp):
        raise IncompleteError(
            f"{base}: the log-probability of a completion of {len(sequence[1])} tokens is {logp}; "
            "expected a finite number; its weights are damaged, or overflow with train.dtype = "
            f"{params.dtype!r} and train.bf16 = {params.bf16}"
        )


def _batches(sequences: dict[str, Sequence]) -> Iterator[dict[str, Sequence]]:
    """Group sequences of similar length, so that little of a batch is padding."""
    batch: dict[str, Sequence] = {}
    for key, sequence in sorted(sequences.items(), key=lambda item: sum(map(len, item[1]))):
        length = sum(map(len, sequence))
        if batch and (len(batch) + 1) * length > TOKENS_PER_BATCH:
            yield batch
            batch = {}
        batch[key] = sequence
    if batch:
        yield batch


def _logps(model: Any, sequences: Iterable[Sequence], bf16: bool) -> list[float]:
    """Return for each sequence the sum of log p(token | all before) over its completion."""
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
