"""Log-probabilities of traces under the reference model: once for each trace, kept for all pairs.

They belong to a trace and its prompt, not to a pair, so they live in the reply store: every set of
pairs with the same traces reuses them, and a killed pass goes on where it stopped.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from delta.records import SIDES
from delta.replies import Shelf

TOKENS_A_BATCH = 2_048  # padded tokens of one forward pass
Progress = Callable[[Iterable[Any], int], Iterator[Any]]


def add_reference(
    rows: list[dict[str, Any]], model: Any, fingerprint: str, shelf: Shelf, progress: Progress
) -> int:
    """Give every row ref_chosen_logps and ref_rejected_logps (nats, summed over the completion).

    Returns how many traces were computed; the others were on the shelf.
    """
    # Where training runs under autocast, so does the reference: the first margin must be 0.
    setting = f"{fingerprint} {model.device.type} {torch.__version__}"
    wanted = {}
    for row in rows:
        for side in SIDES:
            sequence = (tuple(row["prompt_ids"]), tuple(row[f"{side}_ids"]))
            wanted[_key(setting, *sequence)] = sequence
    missing = {key: sequence for key, sequence in wanted.items() if key not in shelf}
    batches = list(_batches(missing))
    for batch in progress(batches, len(batches)):
        for key, value in zip(batch, _log_probs(model, list(batch.values())), strict=True):
            shelf.put(key, {"logp": value})
    for row in rows:
        for side in SIDES:
            key = _key(setting, row["prompt_ids"], row[f"{side}_ids"])
            known = shelf.get(key)
            assert known is not None
            row[f"ref_{side}_logps"] = known["logp"]
    return len(missing)


def _key(setting: str, prompt_ids: Iterable[int], completion_ids: Iterable[int]) -> str:
    text = f"{setting} {list(prompt_ids)} {list(completion_ids)}"
    return hashlib.sha256(text.encode()).hexdigest()


Sequences = dict[str, tuple[tuple[int, ...], tuple[int, ...]]]


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


def _log_probs(model: Any, sequences: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> list[float]:
    """Sum over the completion of log p(token | all before), one number for each sequence."""
    longest = max(len(prompt) + len(completion) for prompt, completion in sequences)
    ids = torch.zeros(len(sequences), longest, dtype=torch.long)
    mask = torch.zeros(len(sequences), longest, dtype=torch.long)
    counted = torch.zeros(len(sequences), longest, dtype=torch.bool)
    for row, (prompt, completion) in enumerate(sequences):
        end = len(prompt) + len(completion)
        ids[row, :end] = torch.tensor(prompt + completion)
        mask[row, :end] = 1
        counted[row, len(prompt) : end] = True
    ids, mask, counted = (tensor.to(model.device) for tensor in (ids, mask, counted))
    gpu = model.device.type == "cuda"
    with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16, enabled=gpu):
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()
    chosen = torch.gather(logits, 2, ids[:, 1:, None]).squeeze(2) - torch.logsumexp(logits, dim=2)
    sums: list[float] = (chosen * counted[:, 1:]).sum(dim=1).tolist()
    return sums
