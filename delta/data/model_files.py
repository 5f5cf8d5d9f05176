"""What a model says of itself: whether it can be spoken to and trained, and how far it reads."""

import json
from pathlib import Path
from typing import Any

from delta.core.errors import InputError
from delta.prompts import control_tokens

# What configurations call the number of positions that a model was made for.
POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length")
STRETCHED = ("linear", "dynamic", "yarn", "longrope")  # rotary positions that reach further


def max_positions(folder: Path) -> int | None:
    """Return how many tokens the model in `folder` was made for; None where its files do not say.

    Where its positions are stretched, the number they reach.
    """
    config = _config(folder)
    known = [config[name] for name in POSITIONS if isinstance(config.get(name), int)]
    if not known:
        return None
    limit: int = known[0]
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if scaling.get("rope_type", scaling.get("type")) in STRETCHED:
        original = scaling.get("original_max_position_embeddings") or limit
        limit = max(limit, int(original * (scaling.get("factor") or 1)))
    return limit


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        own = config.get("text_config", config)  # of a model that also sees
        return own if isinstance(own, dict) else {}
    except (OSError, ValueError, AttributeError):
        return {}  # another check says what is wrong with the folder


def check_tokenizer(key: str, folder: Path) -> None:
    """Raise InputError where a model cannot be asked or trained: without a chat template, an end
    of sequence, or an embedding for each of its tokens.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception:  # noqa: BLE001 - it has code of its own, or is damaged: its engine says what
        return
    if not tokenizer.chat_template:
        raise InputError(
            f"{key}: has no chat template, which every prompt here is written by; allowed: an "
            "instruct model, or a folder with a chat_template.jinja"
        )
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"{key}: its tokenizer has no end-of-sequence token; allowed: a folder whose "
            "tokenizer_config.json names an eos_token"
        )
    embeddings = _config(folder).get("vocab_size")
    lost = _without_embedding(tokenizer, embeddings) if isinstance(embeddings, int) else []
    if lost:
        raise InputError(
            f"{key}: its tokenizer has {len(tokenizer)} tokens and the model {embeddings} "
            f"embeddings, none for {lost[0]!r}; allowed: an embedding for each, as "
            "`resize_token_embeddings` of transformers makes them"
        )


def _without_embedding(tokenizer: Any, embeddings: int) -> list[str]:
    """Tokens that a text or a turn may hold and the model does not know.

    Some text models keep control tokens of pictures above their embeddings: no text becomes these.
    """
    used = {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id}
    harmless = control_tokens.control_token_ids(tokenizer) - used
    template = str(tokenizer.chat_template)
    return [
        token
        for token, number in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        if number >= embeddings and (number not in harmless or token in template)
    ]
