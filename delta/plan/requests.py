"""How many requests are left to ask: the workspace before a run, and what its cache answers."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from delta.check import Params
from delta.core import fingerprint, paths
from delta.core.errors import InputError
from delta.core.schemas import Table
from delta.inference.engine import Engine, ServingParams
from delta.inference.model_client import open_engine
from delta.inference.reply_cache import ReplyCache, cache_folder
from delta.inference.types import Reply, Request
from delta.inference.vllm_engine import VllmEngine
from delta.plan.dvc_state import UP_TO_DATE, Stage

EXACT = "exact"
AT_MOST = "at most"  # nothing is cached yet; equal requests, asked once, count each
ESTIMATE = "estimate"  # a stage before it has yet to run, or only a part was looked up
UNKNOWN = "unknown"  # params.yaml does not tell how many rows there will be
# A plan reads at most so much of the cache: half of twenty seconds on a laptop.
MAX_REQUESTS = 40_000
MAX_BYTES = 2 * 2**30


class CacheCoverage(NamedTuple):
    """What params.yaml, today's tables and the cache tell of a group of requests."""

    total: int | None  # None: not known yet
    kept: int  # how many of them the cache answers
    basis: str
    prompt_tokens: float | None = None  # mean
    reply_tokens: float | None = None  # mean of the cached replies


@dataclass(frozen=True)
class RequestGroup:
    """What one item of a stage asks of one model."""

    stage: str
    name: str
    model: str
    per_prompt: int  # requests that share a prompt
    max_tokens: int  # of one reply
    coverage: CacheCoverage

    @property
    def to_ask(self) -> int | None:
        return None if self.coverage.total is None else self.coverage.total - self.coverage.kept


class CacheLookup:
    """An engine that has only what is cached.

    A missing reply is given as refused. A judge then asks under the next attempt, in vain:
    `missing` holds each request once, whatever its attempt.
    """

    def __init__(self, cache: ReplyCache) -> None:
        self.cache = cache
        self.asked: set[str] = set()
        self.missing: set[str] = set()
        self.replies: list[Reply] = []

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Reply]]:
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
        values = [getattr(reply, field) for reply in self.replies]
        return sum(values) / len(values) if values else None


class TableEstimate(NamedTuple):
    """The rows that a stage reads, as far as they can be known before the run."""

    frame: pl.DataFrame | None  # today's
    expected: int | None  # rows that it will have
    settled: bool  # no stage before it has to run: `frame` is what the stage will read


AskAll = Callable[[pl.DataFrame, str, CacheLookup], object]  # rows, the model's fingerprint


class PendingRequests(NamedTuple):
    """One stage item that asks a model."""

    stage: str
    name: str
    model: str
    cache: str  # item of its reply cache
    rows: TableEstimate
    per_row: int  # requests for a row, which share its prompt
    max_tokens: int
    ask_all: AskAll  # asks for everything that some rows need
    prompt_tokens: float | None = None  # mean by today's rows; None: to be assumed
    distinct: bool = False  # no two rows have the same prompt


class PromptEngine(VllmEngine):
    """Renders prompts by the tokenizer alone. AutoTokenizer imports torch, which takes 10 s."""

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast.from_pretrained(self.folder)


class Workspace:
    """The workspace before the run: parameters, states of stages, models and their engines."""

    def __init__(self, params: Params, stages: dict[str, Stage]) -> None:
        self.params = params
        self.stages = stages  # empty: DVC could not tell, so every stage counts as to be run
        self.notes: list[str] = []
        self._engines: dict[str, Engine] = {}

    def settled(self, *names: str) -> bool:
        return all(name in self.stages and self.stages[name].state == UP_TO_DATE for name in names)

    def same_params(self, *names: str) -> bool:
        """Return whether these stages' last outputs are a good guess at the next ones."""
        return all(name in self.stages and not self.stages[name].params_changed for name in names)

    def fingerprint(self, model: str) -> str | None:
        """Return None where weights are missing, or will be others when they are asked."""
        if model == paths.POLICY and not self.settled("train"):
            return None
        try:
            return fingerprint.read_fingerprint(paths.model(model))
        except InputError:
            return None

    def engine(self, model: str) -> Engine:
        """Return what renders the model's prompts. No weights are loaded."""
        if model not in self._engines:
            serving, folder = self.params.serving[model], paths.model(model)
            if isinstance(serving, ServingParams) and serving.endpoint is None:
                self._engines[model] = PromptEngine(self.params.engine.vllm, serving, folder)
            else:
                self._engines[model] = open_engine(self.params.engine, serving, folder)
        return self._engines[model]


def read_current_table(path: Path, table: Table, *without: str) -> pl.DataFrame | None:
    """Return today's table; None where there is none, or one of an older schema."""
    columns = [name for name in table.columns if name not in without]
    try:
        return pl.scan_parquet(path).select(columns).collect()
    except (pl.exceptions.PolarsError, OSError):
        return None


def count_requests(workspace: Workspace, item: PendingRequests, fraction: float) -> RequestGroup:
    """Count what is left of `item`, with a fraction of all lookups that a plan may do."""
    rows, coverage = item.rows, CacheCoverage(0, 0, ESTIMATE)
    if rows.frame is not None:
        coverage = _look_up(workspace, item, rows.frame, fraction)
    writer = "train" if item.model == paths.POLICY else f"fetch@{item.model}"
    if rows.expected is None:
        coverage = coverage._replace(total=None, kept=0, basis=UNKNOWN)
    elif not (rows.settled and workspace.settled(writer)):
        total = rows.expected * item.per_row
        coverage = CacheCoverage(total, min(coverage.kept, total), ESTIMATE, *coverage[3:])
    if coverage.prompt_tokens is None:
        coverage = coverage._replace(prompt_tokens=item.prompt_tokens)
    return RequestGroup(item.stage, item.name, item.model, item.per_row, item.max_tokens, coverage)


def _look_up(
    workspace: Workspace, item: PendingRequests, frame: pl.DataFrame, fraction: float
) -> CacheCoverage:
    """Look up an evenly spread sample of the requests.

    For an empty cache no request is built, which would need a tokenizer. Then the number is exact
    only where rows are distinct, since equal requests are asked once.
    """
    total = frame.height * item.per_row
    nothing_cached = CacheCoverage(total, 0, EXACT if item.distinct else AT_MOST)
    model = workspace.fingerprint(item.model)
    if model is None or not total:
        return nothing_cached
    folder, max_bytes = cache_folder(item.cache, model), round(MAX_BYTES * fraction)
    try:
        with ReplyCache(folder, read_only=True, max_bytes=max_bytes) as cache:
            if not len(cache):
                return nothing_cached
            step = -(-total // round(MAX_REQUESTS * fraction))
            sample, lookup = frame.gather_every(step), CacheLookup(cache)
            item.ask_all(sample, model, lookup)
    except (InputError, OSError, ValueError) as error:
        # No vLLM here to name, a tokenizer with code of its own, a prompt that does not fit.
        workspace.notes.append(f"which replies {item.cache} has: {' '.join(str(error).split())}")
        return nothing_cached
    kept = len(lookup.asked) - len(lookup.missing)
    tokens = lookup.mean("prompt_tokens"), lookup.mean("completion_tokens")
    if step == 1 and cache.fraction_read == 1:
        return CacheCoverage(len(lookup.asked), kept, EXACT, *tokens)
    kept = round(kept * frame.height / sample.height / cache.fraction_read)
    return CacheCoverage(total, min(total, kept), ESTIMATE, *tokens)
