"""The log-probability of every token of given texts, by Transformers in this process.

vLLM would compute it too, but takes longer to start than a hundred short texts take here.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache

Tokens = tuple[int, ...]
MAX_LOGITS = 2**27  # in one pass: half a gigabyte in float32


def token_logps(
    folder: Path, dtype: str, texts: Mapping[Tokens, Sequence[Tokens]]
) -> Iterator[tuple[Tokens, Tokens, list[float]]]:
    """Yield prompt, text, and log p(token | prompt and all before) of each of its tokens (nats).

    `texts` has the texts after each prompt. A prompt is computed once for all of them.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=getattr(torch, dtype), use_safetensors=True
    )
    model = loaded.to(device).eval()
    for prompt, all_texts in texts.items():
        # Texts of similar length are together, so that little of a batch is padding.
        waiting = sorted(filter(None, dict.fromkeys(all_texts)), key=len)
        while waiting:
            size = max(1, MAX_LOGITS // (model.config.vocab_size * len(waiting[-1])))
            batch, waiting = waiting[-size:], waiting[:-size]
            with torch.no_grad():
                logps = _logps_after(model, prompt, batch)
            for text, values in zip(batch, logps, strict=True):
                yield prompt, text, values


def _logps_after(model: Any, prompt: Tokens, texts: Sequence[Tokens]) -> list[list[float]]:
    lengths = [len(text) for text in texts]
    ids = torch.zeros(len(texts), max(lengths), dtype=torch.long)
    mask = torch.zeros(len(texts), len(prompt) + max(lengths), dtype=torch.long)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
        mask[row, : len(prompt) + len(text)] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    cache = DynamicCache(config=model.config)
    before = torch.tensor([prompt], device=model.device)
    first = model(before, past_key_values=cache, logits_to_keep=1).logits
    cache.batch_repeat_interleave(len(texts))
    rest = model(ids, attention_mask=mask, past_key_values=cache).logits[:, :-1]
    logits = torch.cat([first.expand(len(texts), -1, -1), rest], dim=1).float()
    chosen = logits.gather(2, ids[:, :, None])[:, :, 0] - logits.logsumexp(dim=2)
    return [row[:length] for row, length in zip(chosen.tolist(), lengths, strict=True)]
