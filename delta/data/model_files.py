"""Read a model's files: can it be prompted and trained, and how long may its input be?"""

import json
from pathlib import Path
from typing import Any

from delta.core.errors import InputError
from delta.prompts.control_tokens import control_token_ids

# The names that configurations give to the number of positions.
POSITION_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length")
SCALED_ROPE = ("linear", "dynamic", "yarn", "longrope")  # types that extend the positions


def max_positions(folder: Path) -> int | None:
    """Return how many tokens the model reads, with scaled positions; None if that is unknown."""
    config = _read_config(folder)
    lengths = [config[name] for name in POSITION_KEYS if isinstance(config.get(name), int)]
    if not lengths:
        return None
    limit: int = lengths[0]
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if scaling.get("rope_type", scaling.get("type")) in SCALED_ROPE:
        original = scaling.get("original_max_position_embeddings") or limit
        limit = max(limit, int(original * (scaling.get("factor") or 1)))
    return limit


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        text_config = config.get("text_config", config)  # of a model that also reads images
        return text_config if isinstance(text_config, dict) else {}
    except (OSError, ValueError, AttributeError):
        return {}  # another check says what is wrong with the folder


def check_tokenizer(key: str, folder: Path) -> None:
    """Raise InputError where a model cannot be prompted or trained.

    It needs a chat template, an end-of-sequence token, and an embedding for each of its tokens.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception:  # noqa: BLE001 - it needs its own code, or is damaged: the engine says what
        return
    if not tokenizer.chat_template:
        raise InputError(
            f"{key}: has no chat template, which every prompt here needs; expected an instruct "
            "model, or a folder with a chat_template.jinja"
        )
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"{key}: its tokenizer has no end-of-sequence token; expected a folder whose "
            "tokenizer_config.json names an eos_token"
        )
    embeddings = _read_config(folder).get("vocab_size")
    if not isinstance(embeddings, int):
        return
    if tokens := _tokens_without_embedding(tokenizer, embeddings):
        raise InputError(
            f"{key}: its tokenizer has {len(tokenizer)} tokens and the model {embeddings} "
            f"embeddings, none for {tokens[0]!r}; expected an embedding for each, as "
            "`resize_token_embeddings` of transformers makes them"
        )


def _tokens_without_embedding(tokenizer: Any, embeddings: int) -> list[str]:
    """Return the tokens that a prompt may contain and that have no embedding.

    Some text models have control tokens for images without embeddings. No text becomes these.
    """
    used = {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id}
    unused = control_token_ids(tokenizer) - used
    template = str(tokenizer.chat_template)
    return [
        token
        for token, number in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        if number >= embeddings and (number not in unused or token in template)
    ]
