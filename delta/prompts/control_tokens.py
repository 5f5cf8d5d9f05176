"""Control tokens, which begin or end a turn, and texts that only look like them.

A statement or a trace may contain "<|im_end|>" or "</s>" as text. In a prompt such a text gets a
space after its first character, so that a tokenizer reads it as text. A completion is trained on
unchanged, so there it is tokenized without control tokens.
"""

import itertools
import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any

# Markup of chat templates: <|name|>, DeepSeek's with wide bars, that of Llama 2 and Mistral, of T5,
# of Gemma 1 to 4, GLM and SmolVLM.
MARKUP = re.compile(
    r"<\|[A-Za-z][A-Za-z0-9_]*[A-Za-z0-9]\|>"
    r"|<\uff5c[^\uff5c<>\s]{1,40}\uff5c>"
    r"|</?s>|<</?SYS>>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|IMG)\]"
    r"|<(?:start|end)_of_(?:turn|image)>|<(?:bos|eos|pad|unk|mask)>|<(?:unused|extra_id_)\d+>"
    r"|<\|(?:turn|channel|tool(?:_call|_response)?)>|<(?:turn|channel|tool(?:_call|_response)?)\|>"
    r"|\[gMASK\]|<[se]op>|<end_of_utterance>"
)
# Markup that ends a turn. A completion may have been saved with it.
ENDS_OF_TURN = (
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|return|>", "<|end_of_turn|>"),
    *("<|endoftext|>", "<|end_of_text|>", "<|eot|>", "<end_of_turn>", "<eos>", "</s>"),
    *("<turn|>", "<end_of_utterance>", "<|END_OF_TURN_TOKEN|>"),
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
)
_PROBE_ANSWER = "delta 0123456789"  # no template writes this text


@lru_cache(maxsize=16)
def control_token_ids(tokenizer: Any) -> frozenset[int]:
    """Return the ids of the special tokens, and of added tokens that look like markup.

    Many fine-tuned models have "<|im_end|>" as an ordinary added token.
    """
    added: dict[int, Any] = getattr(tokenizer, "added_tokens_decoder", {})
    control = {
        number
        for number, token in added.items()
        if token.special or MARKUP.fullmatch(token.content)
    }
    return frozenset(control | set(getattr(tokenizer, "all_special_ids", ())))


@lru_cache(maxsize=16)
def _pattern(tokenizer: Any) -> re.Pattern[str] | None:
    """Return a pattern for the control tokens and the markup in the chat template."""
    token_ids = sorted(control_token_ids(tokenizer))
    if not token_ids:
        return None
    texts = {str(token) for token in tokenizer.convert_ids_to_tokens(token_ids)}
    template = getattr(tokenizer, "chat_template", None)
    texts |= set(MARKUP.findall(template)) if isinstance(template, str) else set()
    # White space is not markup, even where a tokenizer calls it special.
    long = (text for text in texts if len(text.strip()) > 1)
    longest_first = sorted(long, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def has_markup(text: str, tokenizer: Any) -> bool:
    """Return whether the tokenizer, or its template, reads a part of the text as markup."""
    pattern = _pattern(tokenizer)
    return pattern is not None and pattern.search(text) is not None


def escape(text: str, tokenizer: Any) -> str:
    """Return the text with a space in each part that this tokenizer reads as a control token."""
    pattern = _pattern(tokenizer)
    return text if pattern is None else pattern.sub(_add_space, text)


def escape_all_families(text: str) -> str:
    """Return the text with a space in the markup of every family, for a server's tokenizer."""
    return MARKUP.sub(_add_space, text)


def _add_space(match: re.Match[str]) -> str:
    return f"{match[0][0]} {match[0][1:]}"


def encode(tokenizer: Any, parts: list[tuple[str, bool]]) -> list[int] | None:
    """Return the token ids of `parts`, each a text and whether it is markup.

    Only markup becomes control tokens. If the other parts contain no markup, the joined text is
    tokenized, so that a token may span two parts. Returns None where a text cannot be tokenized
    without control tokens.
    """
    if not any(has_markup(text, tokenizer) for text, is_markup in parts if not is_markup):
        joined = "".join(text for text, _ in parts)
        return list(tokenizer(joined, add_special_tokens=False)["input_ids"])
    token_ids: list[int] = []
    for text, is_markup in parts:
        if is_markup:
            token_ids += tokenizer(text, add_special_tokens=False)["input_ids"]
            continue
        text_ids = _encode_text(tokenizer, [text])
        if not control_token_ids(tokenizer).isdisjoint(text_ids):
            text_ids = _encode_text(tokenizer, _cut_markup(text, tokenizer))
        if not control_token_ids(tokenizer).isdisjoint(text_ids):
            return None
        token_ids += text_ids
    return token_ids


def _encode_text(tokenizer: Any, pieces: list[str]) -> list[int]:
    options = {"add_special_tokens": False, "split_special_tokens": True}
    return [token for piece in pieces for token in tokenizer(piece, **options)["input_ids"]]


def _cut_markup(text: str, tokenizer: Any) -> list[str]:
    """Return the text in pieces, cut inside each control token."""
    pattern = _pattern(tokenizer)
    cuts = [match.start() + 1 for match in pattern.finditer(text)] if pattern else []
    return [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]


def end_of_turn_id(tokenizer: Any, rendered: str) -> int:
    """Return the id of the token that ends an assistant's turn.

    It is the first control token after the answer in `rendered`, the rendered
    `probe_conversation`; without one, the end-of-sequence token.
    """
    after = rendered.rpartition(_PROBE_ANSWER)[2] if _PROBE_ANSWER in rendered else ""
    for token in tokenizer(after, add_special_tokens=False)["input_ids"]:
        if token in control_token_ids(tokenizer):
            return int(token)
    return int(tokenizer.eos_token_id)


def probe_conversation() -> list[dict[str, str]]:
    """Return a conversation whose last turn is an assistant's."""
    return [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE_ANSWER}]


def strip_end_of_turn(text: str, ends: Collection[str] = ()) -> str:
    """Return the text without the markup at its end that ends a turn: ENDS_OF_TURN and `ends`.

    A file may have kept it, and every chat template writes its own. White space around it is
    removed too. "</s>" is kept where it closes an "<s>" of the text.
    """
    while True:
        bare = text.rstrip()
        end = next((end for end in (*ends, *ENDS_OF_TURN) if end and bare.endswith(end)), None)
        if end is None or (end == "</s>" and "<s>" in bare):
            return text
        text = bare.removesuffix(end).rstrip()
