"""How many of an item's requests the store answers, and how many are left to ask."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import polars as pl

from delta.inference.types import Reply, Request
from delta.plan.cache import Held

EXACT = "exact"
AT_MOST = "at most"  # the store holds nothing yet; equal requests, asked once, count each
ESTIMATE = "estimate"  # a stage before it has yet to run, or only a part was looked up
UNKNOWN = "unknown"  # how many rows there will be is not in params.yaml


@dataclass(frozen=True)
class RequestGroup:
    """What one item of a stage asks of one model."""

    stage: str
    name: str
    model: str
    per_prompt: int  # requests that share a prompt
    max_tokens: int  # of one reply
    found: "CacheCoverage"

    @property
    def to_ask(self) -> int | None:
        return None if self.found.total is None else self.found.total - self.found.kept


class CacheCoverage(NamedTuple):
    """What params.yaml, today's tables and the store tell of an item."""

    total: int | None  # requests; None: nobody knows yet
    kept: int  # of these the ones that the store answers
    basis: str
    prompt_tokens: float | None = None  # of one prompt
    reply_tokens: float | None = None  # the mean of the replies that are kept


class CacheLookup:
    """An engine that has only what is kept.

    A reply that is missing is given as refused. What asks again under the next attempt, as judges
    do, then asks in vain: `missing` holds a request once, whatever its attempt.
    """

    def __init__(self, shelf: Held) -> None:
        self.shelf = shelf
        self.asked: set[str] = set()
        self.missing: set[str] = set()
        self.replies: list[Reply] = []

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Reply]]:
        for request in requests:
            first = replace(request, attempt=0).key()
            self.asked.add(first)
            known = self.shelf.get(request.key())
            if known is None:
                self.missing.add(first)
                yield request, Reply("", "refused", 0, 0)
            else:
                self.replies.append(Reply(**known))
                yield request, self.replies[-1]


AskAll = Callable[[pl.DataFrame, CacheLookup], object]  # asks for everything that some rows need


def looked_up(
    rows: pl.DataFrame,
    per_row: int,
    shelf: Held,
    ask_all: AskAll,
    distinct: bool,
    most: int,
) -> CacheCoverage:
    """The requests for `rows`, and those that the shelf answers: of `most`, evenly spread.

    For an empty shelf none is built, which would need a tokenizer: then the number is exact only
    where the rows are `distinct`, since equal requests are asked once.
    """
    total = rows.height * per_row
    if not shelf.places or not total:
        return CacheCoverage(total, 0, EXACT if distinct else AT_MOST)
    every = -(-total // most)
    part = rows.gather_every(every)
    lookup = CacheLookup(shelf)
    ask_all(part, lookup)
    found = len(lookup.asked) - len(lookup.missing)
    prompt_tokens = _mean([reply.prompt_tokens for reply in lookup.replies])
    reply_tokens = _mean([reply.completion_tokens for reply in lookup.replies])
    if every == 1 and shelf.share == 1:
        return CacheCoverage(len(lookup.asked), found, EXACT, prompt_tokens, reply_tokens)
    kept = round(found * rows.height / part.height / shelf.share)
    return CacheCoverage(total, min(total, kept), ESTIMATE, prompt_tokens, reply_tokens)


def _mean(numbers: list[int]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None
