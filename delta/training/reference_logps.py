"""Log-probabilities of completions under the reference model: once for each, kept for all pairs.

They belong to a trace and its prompt, not to a pair, so they live in the reply store: every set of
pairs with the same traces reuses them, and a killed pass goes on where it stopped. The mismatched
completions of KTO are kept in the same way, under the prompt they stand after.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import trl
from trl.trainer.utils import add_fused_lm_head

from delta.core.errors import IncompleteError
from delta.inference.reply_cache import ReplyCache
from delta.training import model_io, padding_free
from delta.training.config import TrainParams
from delta.training.dataset import REFERENCES

# Padded tokens of one forward pass, longer sequences alone: keeps two cores and a GPU busy, and
# shapes no result.
TOKENS_A_BATCH = 2_048
Progress = Callable[[Iterable[Any], int], Iterator[Any]]
Sequences = dict[str, tuple[tuple[int, ...], tuple[int, ...]]]


def add_reference(
    params: TrainParams,
    rows: list[dict[str, Any]],
    base: Path,
    fingerprint: str,
    shelf: ReplyCache,
    progress: Progress,
) -> int:
    """Give every row the columns of rows.REFERENCES (nats, summed over the completion).

    Returns how many completions were computed; the others were on the shelf. The base is loaded
    only where one is missing.
    """
    columns = REFERENCES[params.method]
    # As in training, by the same kernel: the first margin must be 0.
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    setting = (
        f"{fingerprint} {kind} {params.weights} {params.compute} torch {torch.__version__} "
        f"trl {trl.__version__}"
    )
    wanted = {}
    for row in rows:
        for completion in columns.values():
            sequence = (tuple(row["prompt_ids"]), tuple(row[completion]))
            wanted[_key(setting, *sequence)] = sequence
    known = {key: _kept(shelf, key) for key in wanted}
    missing = {key: sequence for key, sequence in wanted.items() if known[key] is None}
    if missing:
        model = model_io.load(base, params.weights).to(kind)
        add_fused_lm_head(model)  # no logits of the whole vocabulary for 8,192 places at once
        padding_free.enable_padding_free(model)
        batches = list(_batches(missing))
        for batch in progress(batches, len(batches)):
            sums = _log_probs(model, list(batch.values()), params.compute)
            for key, value in zip(batch, sums, strict=True):
                if not math.isfinite(value):
                    raise IncompleteError(
                        f"{base}: the log-probability of a completion of {len(batch[key][1])} "
                        f"tokens is {value}, allowed: a finite number; its weights are damaged or "
                        f"overflow in train.weights {params.weights!r}, train.compute "
                        f"{params.compute!r}"
                    )
                shelf.put(key, {"logp": value})
                known[key] = value
        del model
        torch.cuda.empty_cache()  # several processes may train on this card next
    for row in rows:
        for column, completion in columns.items():
            row[column] = known[_key(setting, row["prompt_ids"], row[completion])]
    return len(missing)


def _kept(shelf: ReplyCache, key: str) -> float | None:
    """Return the log-probability that is kept; None where there is none that could be one."""
    kept = shelf.get(key)
    value = kept.get("logp") if kept is not None and len(kept) == 1 else None
    return value if isinstance(value, float) and math.isfinite(value) else None


def _key(setting: str, prompt_ids: Iterable[int], completion_ids: Iterable[int]) -> str:
    text = f"{setting} {list(prompt_ids)} {list(completion_ids)}"
    return hashlib.sha256(text.encode()).hexdigest()


def _batches(sequences: Sequences) -> Iterator[Sequences]:
    """Sequences of like length together, so that little of a batch is padding."""
    batch: Sequences = {}
    for key, (prompt, completion) in sorted(
        sequences.items(), key=lambda item: sum(map(len, item[1]))
    ):
        length = len(prompt) + len(completion)
        if batch and (len(batch) + 1) * length > TOKENS_A_BATCH:
            yield batch
            batch = {}
        batch[key] = (prompt, completion)
    if batch:
        yield batch


def _log_probs(
    model: Any, sequences: list[tuple[tuple[int, ...], tuple[int, ...]]], compute: str
) -> list[float]:
    """Sum over the completion of log p(token | all before), one number for each sequence."""
    longest = max(len(prompt) + len(completion) for prompt, completion in sequences)
    ids = torch.zeros(len(sequences), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, -100)  # -100: not counted
    for row, (prompt, completion) in enumerate(sequences):
        end = len(prompt) + len(completion)
        ids[row, :end] = torch.tensor(prompt + completion)
        mask[row, :end] = 1
        labels[row, len(prompt) : end] = ids[row, len(prompt) : end]
    inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    inputs = {name: tensor.to(model.device) for name, tensor in inputs.items()}
    autocast = torch.autocast(model.device.type, torch.bfloat16, enabled=compute == "bfloat16")
    with torch.no_grad(), autocast:
        found = model(**inputs, fused_lm_head=True).log_probs
    sums: list[float] = found.float().sum(dim=1).tolist()
    return sums
