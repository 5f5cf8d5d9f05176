"""Ask the models of a stage for the replies of all its items, with one start of each engine.

An item of `generate`, `verify`, `judge` or `evaluate` loads its model, asks, and ends. Where
several items ask the same model, it would be loaded again for each. This command asks for all of
them and fills the reply cache, so that the items find every reply there and load nothing. It leaves
out items whose inputs are not up to date and items that DVC would restore. The replies are those
that the items would get: a request's seed does not depend on its neighbours.
"""

import argparse
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import polars as pl

from delta import check
from delta.check import Params
from delta.core import paths, progress, tables
from delta.core.console import Console
from delta.core.errors import InputError
from delta.core.fingerprint import FINGERPRINT_FILE
from delta.core.processes import end_with_parent
from delta.core.schemas import PROBLEM, TRACE
from delta.grading import verify
from delta.inference.model_client import ModelClient, open_model
from delta.inference.types import GenerateFn, Reply, Request
from delta.plan import dvc_state
from delta.plan.dvc_state import UP_TO_DATE, Stage
from delta.plan.pending import ASKING_STAGES, AskedModel, asked_models, pending_requests
from delta.plan.requests import PendingRequests, TableEstimate, Workspace, own_serving


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stage", choices=ASKING_STAGES)
    parser.add_argument("model", nargs="?", help="only this model; default: each, in a process")


def log_name(options: argparse.Namespace) -> str:
    return "-".join(filter(None, ("replies", options.stage, options.model)))


def shared_models(
    params: Params, stages: Mapping[str, Stage], stage: str
) -> dict[str, list[AskedModel]]:
    """Return the models with weights here that several pending items of the stage ask, with these.

    A judge and a second judge with the same model count as two.
    """
    asked: dict[str, list[AskedModel]] = {}
    for entry in asked_models(params, stage):
        is_pending = entry.item in stages and stages[entry.item].state != UP_TO_DATE
        if is_pending and own_serving(params, entry.model) is not None:
            asked.setdefault(entry.model, []).append(entry)
    return {model: entries for model, entries in asked.items() if len(entries) > 1}


def ready_items(
    asked: dict[str, list[AskedModel]], stages: Mapping[str, Stage]
) -> dict[str, list[AskedModel]]:
    """Return the models and items without items that the stage itself has to begin with.

    Left out are items whose inputs will change, that lack a model, or that DVC would restore, and
    models that then fewer than two items ask.
    """
    names = {entry.item for entries in asked.values() for entry in entries}
    names = {
        name
        for name in names
        if all(stages[before].state == UP_TO_DATE for before in stages[name].before)
    }
    names -= dvc_state.restorable(names)
    return {
        model: left
        for model, entries in asked.items()
        if (paths.model(model) / FINGERPRINT_FILE).is_file()  # missing: the stage reports it
        and len(left := [entry for entry in entries if entry.item in names]) > 1
    }


def fill_caches(
    console: Console, workspace: Workspace, stage: str, model: str, caches: Iterable[str]
) -> str:
    """Ask the model for all missing replies of these caches, and say how many came."""
    parts: dict[str, list[PendingRequests]] = {cache: [] for cache in caches}
    for item in pending_requests(workspace, [stage]):
        if item.cache in parts:
            parts[item.cache].append(item)
    if stage == "verify":  # grade all before the engine holds a GPU
        parts = {
            cache: [_grade(console, workspace.params, item) for item in items]
            for cache, items in parts.items()
        }
    client = open_model(model)
    number = 0
    for cache, items in parts.items():
        title = f"replies {cache.replace('-', ' ', 1)}"
        # As in the stage: a score over fewer answers would not be comparable.
        max_failed = 0.0 if stage == "evaluate" else None
        with client.replies(cache, console, title, max_failed) as (generate, replies):
            before = len(replies)
            _ask(client, items, generate)
            number += len(replies) - before
    return f"{model}: {number} new for {len(parts)} items"


def _ask(client: ModelClient, items: list[PendingRequests], generate: GenerateFn) -> None:
    """Send all requests. Those of several benchmarks wait together for the slowest reply."""
    requests: list[Request] = []

    def collect(new: Iterable[Request]) -> Iterator[tuple[Request, Reply]]:
        requests.extend(new)
        return iter(())

    for item in items:
        if item.rows.frame is not None:  # None: its table is damaged, which the stage reports
            item.ask_all(client, item.rows.frame, collect if len(items) > 1 else generate)
    deque(generate(requests), maxlen=0)


def _grade(console: Console, params: Params, item: PendingRequests) -> PendingRequests:
    """Return the item with the traces whose answer a model is to compare: grading finds them."""
    name = item.group.name
    problems = tables.read(paths.PROBLEMS, PROBLEM)
    track = partial(console.progress, label=f"replies verify {name}: grade")
    path = paths.traces(name)
    graded = verify.grade_table(params.verify, params.grading, problems, path, track)
    columns = [column for column in TRACE.columns if column != "text"]
    ids = {answer.trace_id for answer in graded.unresolved}
    rows = tables.read(path, TRACE, columns).filter(pl.col("trace_id").is_in(ids))
    return item._replace(rows=TableEstimate(rows, rows.height, settled=True))


def _run_in_processes(stage: str, models: Iterable[str]) -> None:
    """Run this command for each model in a process, whose end frees its GPUs. Exit if one fails."""
    for model in models:
        process = subprocess.Popen(
            [sys.executable, "-m", "delta", "replies", stage, model],
            stdout=subprocess.DEVNULL,
            preexec_fn=partial(end_with_parent, signal.SIGTERM),  # noqa: PLW1509 - as in training
        )
        if code := process.wait():
            sys.exit(code if code > 0 else 128 - code)


def main(console: Console, options: argparse.Namespace) -> None:
    started = time.monotonic()
    params, stage = check.check(), options.stage
    if options.model not in (None, *params.serving):
        raise InputError(f"model {options.model!r}; expected one of {', '.join(params.serving)}")
    stages = {entry.name: entry for entry in dvc_state.read_stages()}
    asked = ready_items(shared_models(params, stages, stage), stages)
    if options.model is not None:
        asked = {model: asked[model] for model in asked if model == options.model}
    elif len(asked) > 1:
        _run_in_processes(stage, asked)
        asked = {}
    for model, entries in asked.items():
        caches = [entry.cache for entry in entries]
        result = fill_caches(console, Workspace(params, stages), stage, model, caches)
        seconds = time.monotonic() - started
        console.print(f"replies {stage}: {result} ({progress.duration(seconds)})")
    if options.model is None:
        progress.end_replies(stage)
