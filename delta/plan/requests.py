"""Count the requests that are left after those that the reply cache answers."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from delta.check import Params
from delta.core import fingerprint, paths
from delta.core.errors import InputError
from delta.core.schemas import Table
from delta.inference.config import ServingParams
from delta.inference.engine import Engine, open_engine
from delta.inference.model_client import ModelClient
from delta.inference.reply_cache import ReplyCache, cache_folder
from delta.inference.types import GenerateFn, Reply, Request
from delta.inference.vllm_engine import VllmEngine
from delta.plan.dvc_state import UP_TO_DATE, Stage

# How the number of requests of a group is known, from certain to unknown.
EXACT = "exact"
AT_MOST = "at most"  # nothing is cached yet; equal requests, which are sent once, all count
ESTIMATE = "estimate"  # a stage before it has yet to run, or only a part was looked up
UNKNOWN = "unknown"  # the number of rows depends on a dataset
BASES = (EXACT, AT_MOST, ESTIMATE, UNKNOWN)
# A plan reads at most this much of the cache, which takes ten seconds on a laptop.
MAX_REQUESTS = 40_000
MAX_BYTES = 2 * 2**30


class RequestGroup(NamedTuple):
    """The requests of one stage item to one model."""

    stage: str
    name: str
    model: str
    per_prompt: int  # requests that share a prompt
    max_tokens: int  # of one reply
    total: int | None = None  # None: not known yet
    cached: int = 0  # answered by the reply cache
    basis: str = UNKNOWN
    prompt_tokens: float | None = None  # mean; None: to be assumed
    reply_tokens: float | None = None  # mean of the cached replies

    @property
    def to_ask(self) -> int | None:
        """Return the requests that are not cached; None if the total is unknown."""
        return None if self.total is None else self.total - self.cached


class CacheLookup:
    """An engine that returns only cached replies.

    It returns a missing reply as refused. A judge then sends its next attempt, which is missing
    too; `missing` counts all attempts of a request once.
    """

    def __init__(self, cache: ReplyCache) -> None:
        self.cache = cache
        self.asked: set[str] = set()
        self.missing: set[str] = set()
        self.replies: list[Reply] = []

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Reply]]:
        """Yield each request with its cached reply, or a refused one."""
        for request in requests:
            first_key = replace(request, attempt=0).key()
            self.asked.add(first_key)
            reply = self.cache.reply(request.key())
            if reply is None:
                self.missing.add(first_key)
                reply = Reply("", "refused", 0, 0)
            else:
                self.replies.append(reply)
            yield request, reply

    def mean(self, field: str) -> float | None:
        """Return the mean of a field over the cached replies; None without one."""
        values = [getattr(reply, field) for reply in self.replies]
        return sum(values) / len(values) if values else None


class TableEstimate(NamedTuple):
    """The rows that a stage will read, as far as known before the run."""

    frame: pl.DataFrame | None  # today's
    expected: int | None  # rows that it will have
    settled: bool  # whether the stage will read exactly `frame`


AskAll = Callable[[ModelClient, pl.DataFrame, GenerateFn], object]


class PendingRequests(NamedTuple):
    """One stage item that sends requests."""

    group: RequestGroup  # as far as known without its rows
    cache: str  # item of its reply cache
    rows: TableEstimate  # each gives `group.per_prompt` requests
    ask_all: AskAll  # sends all requests of the given rows
    distinct: bool = False  # no two rows have the same prompt


class PromptEngine(VllmEngine):
    """A VllmEngine that only renders prompts, without AutoTokenizer, which imports torch (10 s)."""

    @cached_property
    def tokenizer(self) -> Any:
        """Return the tokenizer, loaded at its first use."""
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast.from_pretrained(self.folder)


class Workspace:
    """Parameters, states of stages, models and engines before the run."""

    def __init__(self, params: Params, stages: dict[str, Stage]) -> None:
        self.params = params
        self.stages = stages  # empty if DVC failed: every stage counts as to be run
        self.notes: list[str] = []
        self._clients: dict[str, ModelClient] = {}

    def settled(self, *names: str) -> bool:
        """Return whether all these stages are up to date."""
        return all(name in self.stages and self.stages[name].state == UP_TO_DATE for name in names)

    def same_params(self, *names: str) -> bool:
        """Return whether the parameters of these stages are those of their last run."""
        return all(name in self.stages and not self.stages[name].params_changed for name in names)

    def estimate(
        self, frame: pl.DataFrame | None, expected: int | None, *before: str
    ) -> TableEstimate:
        """Return today's rows if the stages `before` would make as many; else those `expected`."""
        if frame is not None and self.same_params(*before):
            return TableEstimate(frame, frame.height, self.settled(*before))
        return TableEstimate(frame, expected, settled=False)

    def fingerprint(self, model: str) -> str | None:
        """Return the fingerprint of a model; None if its weights are missing or will change."""
        writer = writer_of(self.params, model)
        if not writer.startswith("fetch@") and not self.settled(writer):
            return None
        try:
            return fingerprint.read_fingerprint(paths.model(model))
        except InputError:
            return None

    def client(self, model: str, fingerprint: str) -> ModelClient:
        """Return a client that renders the model's prompts, without loading weights."""
        if model not in self._clients:
            settings, serving = self.params.engine, self.params.serving[model]
            engine: Engine
            if (own := own_serving(self.params, model)) is not None:
                engine = PromptEngine(settings.vllm, own, paths.model(model))
            else:
                engine = open_engine(settings, serving, paths.model(model))
            self._clients[model] = ModelClient(engine, fingerprint, serving.max_model_len, settings)
        return self._clients[model]


def writer_of(params: Params, model: str) -> str:
    """Return the stage that writes a model."""
    if model == paths.POLICY:
        return "train"
    return f"sft@{model}" if model in params.sft_models else f"fetch@{model}"


def own_serving(params: Params, model: str) -> ServingParams | None:
    """Return how the engine of this run serves a model; None where a server answers for it."""
    serving = params.serving[model]
    return serving if isinstance(serving, ServingParams) and serving.server is None else None


def read_current_table(path: Path, table: Table, *without: str) -> pl.DataFrame | None:
    """Return today's table; None if it is missing or has an older schema."""
    columns = [name for name in table.columns if name not in without]
    try:
        return pl.scan_parquet(path).select(columns).collect()
    except (pl.exceptions.PolarsError, OSError):
        return None


def count_requests(workspace: Workspace, item: PendingRequests, fraction: float) -> RequestGroup:
    """Count the requests of `item` that are left, using `fraction` of the plan's lookups."""
    rows, group = item.rows, item.group
    if rows.frame is not None:
        group = _look_up(workspace, item, rows.frame, fraction)
    writer = writer_of(workspace.params, group.model)
    if rows.expected is None:
        return group._replace(total=None, cached=0, basis=UNKNOWN)
    if rows.settled and workspace.settled(writer):
        return group
    total = rows.expected * group.per_prompt
    return group._replace(total=total, cached=min(group.cached, total), basis=ESTIMATE)


def _look_up(
    workspace: Workspace, item: PendingRequests, frame: pl.DataFrame, fraction: float
) -> RequestGroup:
    """Look up an evenly spread sample of the requests in the cache.

    For an empty cache no request is built, because that needs a tokenizer. The number is then exact
    only if rows are distinct, because equal requests are sent once.
    """
    total = frame.height * item.group.per_prompt
    group = item.group._replace(total=total, basis=EXACT if item.distinct else AT_MOST)
    fingerprint = workspace.fingerprint(group.model)
    if fingerprint is None or not total:
        return group
    folder, max_bytes = cache_folder(item.cache, fingerprint), round(MAX_BYTES * fraction)
    try:
        with ReplyCache(folder, read_only=True, max_bytes=max_bytes) as cache:
            if not len(cache):
                return group
            step = -(-total // round(MAX_REQUESTS * fraction))
            sample, lookup = frame.gather_every(step), CacheLookup(cache)
            item.ask_all(workspace.client(group.model, fingerprint), sample, lookup.generate)
    except (InputError, OSError, ValueError) as error:
        # For example: no vLLM here, a tokenizer with its own code, a prompt that is too long.
        workspace.notes.append(f"which replies {item.cache} has: {' '.join(str(error).split())}")
        return group
    cached = len(lookup.asked) - len(lookup.missing)
    group = group._replace(
        prompt_tokens=lookup.mean("prompt_tokens") or group.prompt_tokens,
        reply_tokens=lookup.mean("completion_tokens"),
    )
    if step == 1 and cache.fraction_read == 1:
        return group._replace(total=len(lookup.asked), cached=cached, basis=EXACT)
    cached = round(cached * frame.height / sample.height / cache.fraction_read)
    return group._replace(cached=min(total, cached), basis=ESTIMATE)
