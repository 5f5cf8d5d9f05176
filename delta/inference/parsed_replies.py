"""Request replies that a parser accepts, such as votes or verdicts."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from delta.inference.chat_formats import ChatFormat
from delta.inference.engine import read_reply
from delta.inference.types import GenerateFn, Reply, Request

K = TypeVar("K")
V = TypeVar("V")


class ParseFailure(NamedTuple):
    """A reply that the parser rejects."""

    reason: str  # counted as given, so of a few kinds


def generate_parsed(
    requests: Sequence[tuple[K, Request]],
    generate: GenerateFn,
    chat_format: ChatFormat,
    parse: Callable[[Reply, str | None], V | ParseFailure],
    max_attempts: int,
) -> tuple[dict[K, V], Counter[str], int]:
    """Return the parsed replies by key, the number of failures by reason, and of attempts.

    `parse` gets a reply and its answer, None where it was cut before the answer. A reply that does
    not parse is requested again under the next attempt number, up to `max_attempts`. A key without
    any parsed reply is left out.
    """
    values: dict[K, V] = {}
    failures: Counter[str] = Counter()
    pending, attempt = list(requests), 0
    while pending and attempt < max_attempts:
        pending = [(key, replace(first, attempt=attempt)) for key, first in pending]
        parsed = {
            request: parse(reply, _answer(reply, request, chat_format))
            for request, reply in generate(request for _, request in pending)
        }
        without_value = []
        for key, request in pending:
            value = parsed[request]
            if isinstance(value, ParseFailure):
                failures[value.reason] += 1
                without_value.append((key, request))
            else:
                values[key] = value
        pending, attempt = without_value, attempt + 1
    return values, failures, attempt


def _answer(reply: Reply, request: Request, chat_format: ChatFormat) -> str | None:
    text, span = read_reply(reply, chat_format, request.prompt)
    return None if span.answer_start is None else text[span.answer_start :]
