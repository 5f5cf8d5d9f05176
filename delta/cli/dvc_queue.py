"""DVC's experiment queue, driven as a person would: queue what is missing, start, watch, collect.

Nothing is remembered beside DVC's own refs and `metrics/runs/`: the same command goes on after any
interruption, also after `kill -9` of the workers.
"""

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from delta.core import params, paths
from delta.core.errors import InputError
from delta.core.git import git
from delta.experiments import overrides, results
from delta.experiments.grid import Cell
from delta.experiments.results import Result

TARGET = "summary"
RUNS = Path(".dvc/tmp/exps")  # where DVC puts a copy of the workspace for each run
FIRST_POLL_S, LAST_POLL_S = 2.0, 30.0  # asking DVC costs seconds of a core that the runs need
MOST_SILENT = 5  # looks at which nobody answers or works, before all workers count as dead
MOST_TRIPPED = 3  # times in a row that DVC may trip over files which its workers are moving
# How the lines begin that DVC adds to an error.
GOODBYES = ("Having any troubles", "Have you", "Learn more", "See http")
COUNTED = ("pair", "select", "train")  # stages whose counts a result keeps


def check_clone_path(clone: Path) -> None:
    """Raise InputError where DVC cannot run a queue in a clone at this absolute path.

    DVC pushes to a `file://` address of the clone, which it writes in ASCII and unquoted (3.67).
    `dvc repro` and `dvc exp run` in the workspace work there.
    """
    unusable = sorted({letter for letter in str(clone) if not letter.isascii() or letter in "#?"})
    if unusable:
        raise InputError(
            f"{clone}: DVC cannot queue experiments in a clone whose path has {', '.join(unusable)}"
            "; expected: a path of ASCII characters without # and ?; `make repro` works here"
        )


class Queue(NamedTuple):
    """What `dvc queue status` tells."""

    tasks: dict[str, str]  # experiment → Queued, Running, Success or Failed
    workers: int


def queued() -> Queue:
    """One look. DVC reads what runs, then what waits, then what has ended, while its workers move
    tasks from one to the next: a task that moves meanwhile may be in none of them.
    """
    for _ in range(MOST_TRIPPED - 1):
        try:
            return parsed(_dvc("queue", "status"))
        except InputError:
            time.sleep(FIRST_POLL_S)
    return parsed(_dvc("queue", "status"))


def queued_for_certain() -> Queue:
    """Two looks: no task moves twice in so short a time."""
    first, second = queued(), queued()
    return Queue(first.tasks | second.tasks, max(first.workers, second.workers))


def parsed(status: str) -> Queue:
    """Task, name, time of creation (which may hold a blank) and status stand in columns."""
    tasks = {}
    for line in status.splitlines():
        found = re.match(r"[0-9a-f]{7}\s+(\S+)\s.*\s(Queued|Running|Success|Failed)\s*$", line)
        if found:
            tasks[found.group(1)] = found.group(2)
    workers = re.search(r"Worker status: (\d+) active, (\d+) idle", status)
    return Queue(tasks, sum(map(int, workers.groups())) if workers else 0)


def finished() -> dict[str, str]:
    """The experiments that DVC has, with their commits."""
    columns = "--format=%(refname) %(objectname)"
    lines = git("for-each-ref", "refs/exps", columns, check=True).splitlines()
    refs = [line.split(" ") for line in lines if not line.startswith("refs/exps/celery/")]
    return {name.rpartition("/")[2]: commit for name, commit in refs}


def enqueue(cell: Cell) -> None:
    arguments = overrides.set_param_arguments(params.read_all(), cell.changes)
    settings = [f"--set-param={argument}" for argument in arguments]
    _dvc("exp", "run", "--queue", "--name", cell.name, *settings, TARGET)


def run(missing: list[Cell], jobs: int, say: Callable[[str], None]) -> list[Cell]:
    """Runs what is missing, writes each result as it comes, and returns the runs that failed.

    InputError where DVC itself refuses.
    """
    waiting = {cell.name: cell for cell in missing}
    _collect(waiting, {}, say)
    _queue(waiting.values(), say)
    if not waiting:
        return []
    cores = len(os.sched_getaffinity(0))
    _dvc("queue", "start", "--jobs", str(jobs), OMP_NUM_THREADS=str(max(1, cores // jobs)))
    since: dict[str, float] = {}
    failed: dict[str, Cell] = {}
    unseen: set[str] = set()
    silent, pause = 0, FIRST_POLL_S
    while waiting:
        time.sleep(pause)
        pause = min(1.2 * pause, LAST_POLL_S)
        now = queued()
        for name in [name for name in waiting if now.tasks.get(name) == "Running"]:
            since.setdefault(name, time.monotonic())
        _collect(waiting, since, say)
        unseen_twice = unseen - now.tasks.keys()
        unseen = waiting.keys() - now.tasks.keys()
        for name in list(waiting):
            if now.tasks.get(name) == "Failed" or name in unseen_twice:
                failed[name] = waiting.pop(name)
                say(f"{name}: failed; `dvc queue logs {name}` tells why, running again tries again")
        silent = 0 if now.workers or _someone_works() else silent + 1
        if waiting and silent == MOST_SILENT:
            raise InputError(
                "dvc queue: its workers have ended before their tasks; run the same again to go on"
            )
    return list(failed.values())


def _queue(cells: Iterable[Cell], say: Callable[[str], None]) -> None:
    """Each cell stands in the queue once; a task without a worker is dead and is queued anew."""
    there = queued_for_certain()
    alive = "Running" not in there.tasks.values() or there.workers > 0 or _someone_works()
    for cell in cells:
        state = there.tasks.get(cell.name)
        if state == "Queued" or (state == "Running" and alive):
            continue
        if state == "Running":
            _end(cell.name)
        if state is not None:
            _dvc("queue", "remove", cell.name)
        enqueue(cell)
        say(f"{cell.name}: queued")


def _someone_works() -> bool:
    """Whether a process runs in one of the folders in which DVC runs experiments.

    A busy worker misses the second that DVC gives it to answer, many times in a row.
    """
    folder = RUNS.resolve()
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink().is_relative_to(folder):
                return True
        except OSError:  # it has ended, or is somebody else's
            continue
    return False


def _end(name: str) -> None:
    """A task whose worker is dead. Its process may have outlived it: then DVC first kills that, and
    only when asked again finds no process and calls the task failed."""
    for _ in range(2):
        if queued().tasks.get(name) == "Running":
            _dvc("queue", "kill", "--force", name)


def _collect(waiting: dict[str, Cell], since: dict[str, float], say: Callable[[str], None]) -> None:
    """Takes from `waiting` what DVC has finished, and writes its result."""
    there = finished()
    for name in [name for name in waiting if name in there]:
        cell = waiting.pop(name)
        seconds = round(time.monotonic() - since[name]) if name in since else None
        results.write(result(cell, there[name], seconds))
        took = "" if seconds is None else f" in {seconds} s"
        say(f"{name}: done{took}; {len(waiting)} to go")


def result(cell: Cell, commit: str, seconds: int | None) -> Result:
    """Return what the DVC experiment at `commit` holds, read from DVC's cache."""
    from dvc.api import DVCFileSystem

    files = DVCFileSystem(rev=commit)

    def counts(stage: str, item: str | None = None) -> Any:
        with files.open(str(paths.counts(stage, item))) as file:
            return json.load(file)[item or stage]

    scores = counts("evaluate", paths.POLICY)
    answers = {}
    for benchmark in scores:
        with files.open(str(paths.answers(paths.POLICY, benchmark))) as file:
            rows = pl.read_parquet(file.read(), columns=["question_id", "sample", "outcome"])
        answers[benchmark] = results.answered(rows)
    return Result(
        key=cell.key,
        name=cell.name,
        changes=dict(cell.changes),
        commit=git("rev-parse", "--short", f"{commit}^", check=True).strip(),
        date=git("show", "--no-patch", "--format=%cs", commit, check=True).strip(),
        seconds=seconds,
        counts={stage: counts(stage) for stage in COUNTED},
        scores=scores,
        answers=answers,
    )


def _dvc(*words: str, **environment: str) -> str:
    # To a file: the workers that `queue start` leaves behind would hold a pipe open as long as they
    # live, and nothing would be watched or collected before they end.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as out:
        done = subprocess.run(
            ["dvc", *words],
            check=False,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
        )
        out.seek(0)
        said = out.read()
    if done.returncode:
        raise InputError(f"dvc {' '.join(words)}: {refusal(said)}")
    return said


def refusal(said: str) -> str:
    """Return DVC's own error in what it printed, without the lines that offer help after it."""
    _, error, after = said.rpartition("ERROR: ")
    last_line = said.strip().rpartition("\n")[2]
    text = re.split(rf"\n(?=\n|{'|'.join(GOODBYES)})", after if error else last_line)[0]
    return " ".join(text.split()) or "it ended without a reason"
