"""A request to a model, its reply or its failure, and the functions that generate replies."""

import hashlib
import json
import reprlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError


@dataclass(frozen=True)
class Request:
    """Everything that shapes one reply. Equal requests share one reply, cached under `key()`."""

    model: str  # fingerprint of weights and tokenizer, or of a server's model and revision
    engine: str  # engine, version and number format, since replies change with each
    prompt: str  # rendered; for a server, which renders itself, the messages as JSON
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    sample: int  # index of the sample for this prompt (0-based)
    stop: tuple[str, ...] = ()  # texts that end the reply, besides the model's own end of turn
    keep_special_tokens: bool = False
    attempt: int = 0  # raised when a reply did not parse and is requested again
    schema: str | None = None  # JSON schema that guides the decoding
    channels: bool = False  # the schema applies to the final channel only, after free reasoning
    # How many of the most probable tokens the reply keeps at each of its tokens with a digit. 0 is
    # no part of the key, so that replies from before this field keep theirs.
    digit_alternatives: int = 0

    def key(self) -> str:
        """Return SHA-256 over all fields, as 64 hex digits."""
        return self._key

    @cached_property
    def _key(self) -> str:
        values = {name: getattr(self, name) for name in self.__match_args__}
        if not self.digit_alternatives:
            del values["digit_alternatives"]
        return hashlib.sha256(_SORTED.encode(values).encode()).hexdigest()

    def sampling_seed(self) -> int:
        """Return a 31-bit seed that depends on this request alone."""
        return int(self.key()[:8], 16) & 0x7FFFFFFF


_SORTED = json.JSONEncoder(sort_keys=True)
_COMPACT = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def canonical_json(value: Any) -> str:
    """Return JSON that is the same for equal values, as a request's key needs it."""
    return _COMPACT.encode(value)


class DigitToken(TypedDict):
    """A token of a reply's text with a digit, and what the model could have written there."""

    at: int  # characters before its first digit in the text
    probabilities: dict[str, float]  # of the most probable tokens, by their text


class Reply(NamedTuple):
    """What a model answered. A failed request has delta.inference.reply_cache.NO_REPLY."""

    text: str
    finish_reason: str  # one of delta.core.schemas.FINISH_REASONS
    prompt_tokens: int
    completion_tokens: int
    reasoning: str | None = None  # where a server has separated it from the text
    digits: list[DigitToken] | None = None  # None: not requested, or the engine did not tell


class Failure(NamedTuple):
    """The reason why a request got no reply. It is not cached, so the next run asks again."""

    reason: str  # one line
    kind: str  # what metrics count: "HTTP 400", "timeout" and few others


# Yields replies in the order in which they finish. Stages get such a function, not a client.
GenerateFn = Callable[[Iterable[Request]], Iterator[tuple[Request, Reply]]]
# What an engine yields for a request. The reply cache limits the number of failures.
RequestResult = tuple[Request, Reply | Failure]
TryGenerateFn = Callable[[Iterable[Request]], Iterator[RequestResult]]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _DigitFields(_Strict):
    """The fields of a DigitToken with their ranges."""

    at: Annotated[int, Field(ge=0)]
    probabilities: dict[str, Annotated[float, Field(ge=0)]]


class _ReplyFields(_Strict):
    """The fields of a Reply with their ranges."""

    text: str
    finish_reason: Literal["stop", "length", "refused"]  # a failed request has no reply
    prompt_tokens: Annotated[int, Field(ge=0, lt=2**31)]
    completion_tokens: Annotated[int, Field(ge=0, lt=2**31)]
    reasoning: str | None = None
    digits: list[_DigitFields] | None = None


def reply_fields(reply: Reply) -> dict[str, Any]:
    """Return what the cache holds of a reply: `digits` only where they were requested."""
    fields = reply._asdict()
    if reply.digits is None:
        del fields["digits"]
    return fields


def parse_reply(values: Any) -> Reply:
    """Return the reply with these fields, as a server sent them or the cache holds them.

    Raises ValueError where a field is missing, unknown, of another type or out of range.
    """
    try:
        _ReplyFields.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the reply"
        raise ValueError(f"{place} is {reprlib.repr(first['input'])}: {first['msg']}") from None
    return Reply(**values)
