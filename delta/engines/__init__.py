"""Who answers requests: vLLM in this process, or an OpenAI-compatible endpoint."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

from delta.records import Message


@dataclass(frozen=True)
class Request:
    """Everything that shapes one reply. Two equal requests have one reply, kept under `key()`."""

    model: str  # fingerprint of the weights and tokenizer, or name and revision at an endpoint
    engine: str  # engine, version and number format: where one of them changes, replies change
    prompt: str  # rendered; at an endpoint, which renders by itself, the messages as JSON
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    sample: int  # the how-manieth reply to this prompt
    attempt: int = 0  # raised when a reply did not parse and is asked for again
    schema: str | None = None  # JSON schema that guides the decoding

    def key(self) -> str:
        """SHA-256 over all fields, as 64 hex digits."""
        return self._key

    @cached_property
    def _key(self) -> str:
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def sampling_seed(self) -> int:
        """A seed of its own for every request (31 bits), the same whatever else is asked."""
        return int(self.key()[:8], 16) & 0x7FFFFFFF


class Reply(NamedTuple):
    text: str
    finish_reason: str  # one of delta.records.FINISH_REASONS
    prompt_tokens: int
    completion_tokens: int


# Answers requests in the order in which they finish. Steps take such a function, not a client.
Ask = Callable[[Iterable[Request]], Iterator[tuple[Request, Reply]]]


def user_message(content: str) -> list[Message]:
    return [{"role": "user", "content": content}]


def as_json(value: Any) -> str:
    """JSON that is equal for equal values, for use inside a request."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
