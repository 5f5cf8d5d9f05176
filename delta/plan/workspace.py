"""The workspace before a run: today's tables, the models that are there, and their replies."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import polars as pl

from delta.check import Params
from delta.core import fingerprint as weights
from delta.core import paths
from delta.core.errors import InputError
from delta.core.schemas import Table
from delta.inference.engine import Engine
from delta.inference.model_client import open_engine
from delta.plan.cache import Held, held, shelf_folder
from delta.plan.dvc_state import UP_TO_DATE, Stage
from delta.plan.engine import Renderer
from delta.plan.requests import (
    ESTIMATE,
    UNKNOWN,
    CacheCoverage,
    CacheLookup,
    RequestGroup,
    looked_up,
)

# A plan reads so much, whatever is stored: half of twenty seconds on a laptop.
ALL_REQUESTS = 40_000
ALL_BYTES = 2 * 2**30


class TableEstimate(NamedTuple):
    """What a stage reads, as far as it can be known before the run."""

    frame: pl.DataFrame | None  # as it lies there today
    expected: int | None  # rows that it will have
    settled: bool  # nothing before it has yet to run: `frame` is what the stage will read


class PendingRequests(NamedTuple):
    """One stage item that asks a model."""

    stage: str
    name: str
    model: str
    shelf: str
    rows: TableEstimate
    distinct: bool  # no two rows have the same prompt
    per_row: int  # requests for a row, which share its prompt
    max_tokens: int
    prompt_tokens: float | None  # of one prompt, by today's rows; None: to be assumed
    ask_all: Callable[
        [pl.DataFrame, str, CacheLookup], object
    ]  # of rows, with the model's fingerprint


class Workspace:
    """The workspace as it is: parameters, states of stages, tables, models and their replies."""

    def __init__(self, params: Params, stages: dict[str, Stage]) -> None:
        self.params = params
        self.stages = stages  # empty: DVC could not tell, so every stage counts as to be run
        self.notes: list[str] = []
        self._engines: dict[str, Engine] = {}

    def settled(self, *names: str) -> bool:
        return all(name in self.stages and self.stages[name].state == UP_TO_DATE for name in names)

    def same_params(self, *names: str) -> bool:
        """Whether what these wrote last is a good guess at what they will write."""
        return all(name in self.stages and not self.stages[name].params_changed for name in names)

    def fingerprint(self, model: str) -> str | None:
        """None where there are no weights, or they will be others when they are asked."""
        if model == paths.POLICY and not self.settled("train"):
            return None
        try:
            return weights.read_fingerprint(paths.model(model))
        except InputError:
            return None

    def engine(self, model: str) -> Engine:
        """What renders the model's prompts. Its weights are not loaded."""
        if model not in self._engines:
            serving, folder = self.params.serving[model], paths.model(model)
            engine = open_engine(self.params.engine, serving, folder)
            here = serving.endpoint is None
            self._engines[model] = Renderer(engine, folder) if here else engine
        return self._engines[model]


def read_current_table(path: Path, table: Table, *without: str) -> pl.DataFrame | None:
    """The table as it lies there; None where it does not, or is of an older make."""
    columns = [name for name in table.columns if name not in without]
    try:
        return pl.scan_parquet(path).select(columns).collect()
    except (pl.exceptions.PolarsError, OSError):
        return None


def item_of(here: Workspace, work: PendingRequests, share: float) -> RequestGroup:
    """What is left to ask of `work`, for a `share` of all the looking up that a plan may do."""
    rows = work.rows
    found = CacheCoverage(0, 0, ESTIMATE)
    if rows.frame is not None:
        found = _looked_up(here, work, rows.frame, share)
    settled = rows.settled and here.settled(*_writers(work.model))
    if rows.expected is None:
        found = found._replace(total=None, kept=0, basis=UNKNOWN)
    elif not settled:
        total = rows.expected * work.per_row
        found = found._replace(total=total, kept=min(found.kept, total), basis=ESTIMATE)
    if found.prompt_tokens is None:
        found = found._replace(prompt_tokens=work.prompt_tokens)
    return RequestGroup(work.stage, work.name, work.model, work.per_row, work.max_tokens, found)


def _looked_up(
    here: Workspace, work: PendingRequests, frame: pl.DataFrame, share: float
) -> CacheCoverage:
    fingerprint = here.fingerprint(work.model)
    replies = nothing = Held({}, 1.0)
    if fingerprint is not None:
        replies = held(shelf_folder(work.shelf, fingerprint), round(ALL_BYTES * share))
    most = round(ALL_REQUESTS * share)

    def ask_all(part: pl.DataFrame, lookup: CacheLookup) -> None:
        assert fingerprint is not None  # an empty shelf is asked nothing
        work.ask_all(part, fingerprint, lookup)

    try:
        return looked_up(frame, work.per_row, replies, ask_all, work.distinct, most)
    except (InputError, OSError, ValueError) as error:
        # No vLLM here to name, a tokenizer with code of its own, a prompt that does not fit.
        here.notes.append(f"which replies {work.shelf} has: {' '.join(str(error).split())}")
        return looked_up(frame, work.per_row, nothing, ask_all, work.distinct, most)


def _writers(model: str) -> tuple[str, ...]:
    return ("train",) if model == paths.POLICY else (f"fetch@{model}",)
