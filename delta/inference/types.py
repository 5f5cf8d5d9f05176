"""Who answers requests: vLLM, in this process or on a cluster, or an OpenAI-compatible endpoint."""

import hashlib
import json
import reprlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from delta.inference.failures import Failure

__all__ = [
    "Failure",
    "GenerateFn",
    "Reply",
    "Request",
    "TryGenerateFn",
    "as_json",
    "checked_reply",
]


@dataclass(frozen=True)
class Request:
    """Everything that shapes one reply. Two equal requests have one reply, kept under `key()`."""

    model: str  # fingerprint of the weights and tokenizer, or name and revision at an endpoint
    engine: str  # engine, version and number format: where one of them changes, replies change
    prompt: str  # rendered; at an endpoint, which renders by itself, its messages as JSON
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    sample: int  # the how-manieth reply to this prompt
    stop: tuple[str, ...] = ()  # texts that end it, besides the model's own end of turn
    keep_special_tokens: bool = False
    attempt: int = 0  # raised when a reply did not parse and is asked for again
    schema: str | None = None  # JSON schema that guides the decoding
    channels: bool = False  # the schema holds in the final channel only, after free reasoning

    def key(self) -> str:
        """SHA-256 over all fields, as 64 hex digits."""
        return self._key

    @cached_property
    def _key(self) -> str:
        # Its instance holds nothing but the fields until this is kept beside them.
        return hashlib.sha256(_SORTED.encode(vars(self)).encode()).hexdigest()

    def sampling_seed(self) -> int:
        """A seed of its own for every request (31 bits), the same whatever else is asked."""
        return int(self.key()[:8], 16) & 0x7FFFFFFF


_SORTED = json.JSONEncoder(sort_keys=True)
_COMPACT = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class Reply(NamedTuple):
    text: str
    finish_reason: str  # one of delta.core.schemas.FINISH_REASONS
    prompt_tokens: int
    completion_tokens: int
    reasoning: str | None = None  # where a server has taken it out of the text


class _ReplyFields(BaseModel):
    """The fields of a Reply, with what each may hold."""

    model_config = ConfigDict(strict=True, extra="forbid")
    text: str
    finish_reason: Literal["stop", "length", "refused"]  # of records.FINISH_REASONS, what is kept
    prompt_tokens: Annotated[int, Field(ge=0, lt=2**31)]
    completion_tokens: Annotated[int, Field(ge=0, lt=2**31)]
    reasoning: str | None = None


def checked_reply(fields: Any) -> Reply:
    """Return the reply with these fields, whether a server sent them or a store held them.

    Raises ValueError where a field is missing, unknown, of another type or beyond its range.
    """
    try:
        _ReplyFields.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the reply"
        raise ValueError(f"{place} is {reprlib.repr(first['input'])}: {first['msg']}") from None
    return Reply(**fields)


# Answers requests in the order in which they finish. Steps take such a function, not a client.
GenerateFn = Callable[[Iterable[Request]], Iterator[tuple[Request, Reply]]]
# What an engine has: some requests may fail, which delta.inference.reply_cache counts and bounds.
TryGenerateFn = Callable[[Iterable[Request]], Iterator[tuple[Request, Reply | Failure]]]


def as_json(value: Any) -> str:
    """JSON that is equal for equal values, for use inside a request."""
    return _COMPACT.encode(value)
