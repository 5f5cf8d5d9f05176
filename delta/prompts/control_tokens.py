"""Control tokens: what a tokenizer reads as the border of a turn, and texts that only look like it.

A statement or a trace may hold "<|im_end|>" or "</s>" as text. In prompts such a text gets a space
after its first character, so that no tokenizer takes it for more than text; in completions, which
are trained to the letter, it is tokenised without control tokens.
"""

import itertools
import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any

# Markup of chat templates, by its form: <|name|>, DeepSeek's with wide bars, that of Llama 2 and
# Mistral, of Gemma 1 to 3, of T5, of Gemma 4, of GLM and SmolVLM.
MARKUP = re.compile(
    r"<\|[A-Za-z][A-Za-z0-9_]*[A-Za-z0-9]\|>"
    r"|<\uff5c[^\uff5c<>\s]{1,40}\uff5c>"
    r"|</?s>|<</?SYS>>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|IMG)\]"
    r"|<(?:start|end)_of_(?:turn|image)>|<(?:bos|eos|pad|unk|mask)>|<(?:unused|extra_id_)\d+>"
    r"|<\|(?:turn|channel|tool(?:_call|_response)?)>|<(?:turn|channel|tool(?:_call|_response)?)\|>"
    r"|\[gMASK\]|<[se]op>|<end_of_utterance>"
)
# Those of them that end a turn: a completion that was saved with one of them has an end already.
ENDS_OF_TURN = (
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|return|>", "<|end_of_turn|>"),
    *("<|endoftext|>", "<|end_of_text|>", "<|eot|>", "<end_of_turn>", "<eos>", "</s>"),
    *("<turn|>", "<end_of_utterance>", "<|END_OF_TURN_TOKEN|>"),
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
)
_ANSWER = "delta 0123456789"  # a text that no template writes by itself


@lru_cache(maxsize=16)
def control_token_ids(tokenizer: Any) -> frozenset[int]:
    """Return the ids of the tokenizer's control tokens, also of those that it does not call so:
    many a fine-tuned model has "<|im_end|>" as an added token like any other."""
    added: dict[int, Any] = getattr(tokenizer, "added_tokens_decoder", {})
    control = {
        number
        for number, token in added.items()
        if token.special or MARKUP.fullmatch(token.content)
    }
    return frozenset(control | set(getattr(tokenizer, "all_special_ids", ())))


@lru_cache(maxsize=16)
def _pattern(tokenizer: Any) -> re.Pattern[str] | None:
    """Every text that is a control token of the tokenizer, or markup in its chat template."""
    texts = {
        str(token)
        for token in tokenizer.convert_ids_to_tokens(sorted(control_token_ids(tokenizer)))
    }
    template = getattr(tokenizer, "chat_template", None)
    texts |= set(MARKUP.findall(template)) if isinstance(template, str) else set()
    # White space is no markup, whatever a tokenizer calls special.
    long = (text for text in texts if len(text.strip()) > 1)
    longest_first = sorted(long, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def has_markup(text: str, tokenizer: Any) -> bool:
    """Return whether the tokenizer, or its template, would read a part of the text as markup."""
    pattern = _pattern(tokenizer) if control_token_ids(tokenizer) else None
    return pattern is not None and pattern.search(text) is not None


def escape(text: str, tokenizer: Any) -> str:
    """Return the text with a space in whatever this tokenizer would read as a control token."""
    pattern = _pattern(tokenizer) if control_token_ids(tokenizer) else None
    return text if pattern is None else pattern.sub(_with_space, text)


def escape_all_families(text: str) -> str:
    """As `escape`, for a server whose tokenizer is not at hand: the markup of every family."""
    return MARKUP.sub(_with_space, text)


def _with_space(match: re.Match[str]) -> str:
    return f"{match[0][0]} {match[0][1:]}"


def encode(tokenizer: Any, parts: list[tuple[str, bool]]) -> list[int] | None:
    """Return the token ids of parts (text, whether it is markup); None where that cannot be done.

    Only markup gives control tokens. Ordinary text is tokenised as one, with what stands beside it.
    """
    if not any(has_markup(text, tokenizer) for text, is_markup in parts if not is_markup):
        whole: list[int] = tokenizer("".join(text for text, _ in parts), add_special_tokens=False)[
            "input_ids"
        ]
        return whole
    token_ids: list[int] = []
    for text, is_markup in parts:
        if is_markup:
            token_ids += tokenizer(text, add_special_tokens=False)["input_ids"]
            continue
        own = _encode_text(tokenizer, [text])
        if not control_token_ids(tokenizer).isdisjoint(own):
            own = _encode_text(tokenizer, _cut_markup(text, tokenizer))
        if not control_token_ids(tokenizer).isdisjoint(own):
            return None
        token_ids += own
    return token_ids


def _encode_text(tokenizer: Any, pieces: list[str]) -> list[int]:
    options = {"add_special_tokens": False, "split_special_tokens": True}
    return [token for piece in pieces for token in tokenizer(piece, **options)["input_ids"]]


def _cut_markup(text: str, tokenizer: Any) -> list[str]:
    """The text in pieces, of which none holds a whole control token."""
    pattern = _pattern(tokenizer)
    assert pattern is not None  # else nothing in the text were markup
    cuts = [0, *(match.start() + 1 for match in pattern.finditer(text)), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(cuts)]


def end_of_turn_id(tokenizer: Any, rendered: str) -> int:
    """Return the token that ends an assistant's turn: the first control token after its answer in
    `rendered` (of `probe`), else the tokenizer's end-of-sequence token."""
    after = rendered.rpartition(_ANSWER)[2] if _ANSWER in rendered else ""
    for token in tokenizer(after, add_special_tokens=False)["input_ids"]:
        if token in control_token_ids(tokenizer):
            return int(token)
    return int(tokenizer.eos_token_id)


def probe_conversation() -> list[dict[str, str]]:
    """Return a conversation whose last turn is an assistant's."""
    return [{"role": "user", "content": "?"}, {"role": "assistant", "content": _ANSWER}]


def strip_end_of_turn(text: str, ends: Collection[str] = ()) -> str:
    """Return the text without the ends of turn, `ENDS` or others, that close it, and the white
    space around them: a file may have kept them, and every model writes its own.

    "</s>" is left where it closes an "<s>" of the text's own.
    """
    while True:
        bare = text.rstrip()
        end = next((end for end in (*ends, *ENDS_OF_TURN) if end and bare.endswith(end)), None)
        if end is None or (end == "</s>" and "<s>" in bare):
            return text
        text = bare.removesuffix(end).rstrip()
