"""Execute the runs of experiments as DVC experiments, several side by side.

Two `dvc exp run` in one workspace break each other, so each run has a clone of the workspace in
.dvc/tmp that shares DVC's cache. All state is in DVC's refs and metrics/runs/, so the same command
resumes after any interruption.
"""

import fcntl
import itertools
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import polars as pl

from delta.core import paths
from delta.core.errors import InputError
from delta.core.git import git
from delta.core.params import PARAMS_FILE
from delta.core.progress import duration, rough_duration
from delta.evaluation.evaluate import describe_scores
from delta.experiments import results
from delta.experiments.changes import write_changes
from delta.experiments.grid import RunSpec
from delta.experiments.origin import experiments
from delta.experiments.results import Result

TARGET = "summary"
CLONES = Path(".dvc/tmp/experiments")
LOCK = Path(".dvc/tmp/experiments.lock")
LOGS = Path("logs/experiments")
# First words of the lines that DVC prints after an error.
OFFERS_OF_HELP = ("Having any troubles", "Have you", "Learn more", "See http")
COUNTED = ("pair", "select", "train")  # stages whose counts a result keeps
# How a clone gets outputs from DVC's cache: by the first kind of link that the file system has,
# because copies of all models would fill the disk. Links are read-only files. A clone may have
# them: nobody edits its files, and stages replace files rather than write into them.
LINKS = "reflink,hardlink,symlink,copy"
# The stash of changed files is a commit and needs an author. Nobody sees it.
IDENTITY = ("-c", "user.name=delta", "-c", "user.email=delta@localhost")


def run_experiments(missing: list[RunSpec], jobs: int, log: Callable[[str], None]) -> list[RunSpec]:
    """Run `missing`, write each result as soon as its run ends, and return those that failed.

    Raises InputError where Git or DVC cannot prepare a clone.
    """
    with _lock(log) as lock:
        commits = {name: found.commit for name, found in experiments(Path()).items()}
        collected = ((spec, commits[spec.name], None) for spec in missing if spec.name in commits)
        to_run = [spec for spec in missing if spec.name not in commits]
        runs = itertools.chain(collected, _run_all(to_run, jobs, lock))
        failed: list[RunSpec] = []
        times: list[int] = []
        for done, (spec, commit, seconds) in enumerate(runs, 1):
            if commit is None:
                failed.append(spec)
                output = _log_path(spec).read_text(encoding="utf-8", errors="replace")
                log(f"{spec.name}: failed: {dvc_error(output)}; see {_log_path(spec)}")
                continue
            result = read_result(spec, commit, seconds)
            results.write(result)
            took = "" if seconds is None else f" ({duration(seconds)})"
            left = f"; {len(missing) - done} to go"
            if seconds is not None and done < len(missing):
                times.append(seconds)
                mean = sum(times) / len(times)
                left += f", about {rough_duration(mean * (len(missing) - done) / jobs)}"
            log(f"{spec.name}: {describe_scores(result.scores)}{took}{left}")
        return failed


@contextmanager
def _lock(log: Callable[[str], None]) -> Iterator[int]:
    """Take the lock of this workspace's experiments and yield its descriptor.

    `dvc` inherits the descriptor. If this command is killed alone, its runs keep the lock, and the
    next command waits for them.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log("waiting for runs of another command in this workspace")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _run_all(
    specs: list[RunSpec], jobs: int, lock: int
) -> Iterator[tuple[RunSpec, str | None, int]]:
    """Yield each run with the commit of its experiment (None if it failed) and its seconds."""
    jobs = min(jobs, len(specs))
    if not jobs:
        return
    source = git(*IDENTITY, "stash", "create", check=True).strip() or "HEAD"
    clones = SimpleQueue[Path]()
    shutil.rmtree(CLONES, ignore_errors=True)
    for number in range(jobs):
        clones.put(_clone(CLONES / str(number)))
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)

    def run_spec(spec: RunSpec) -> tuple[Path, int]:
        clone, start = clones.get(), time.monotonic()
        try:
            _run_in(clone, spec, source, threads, lock)
        finally:
            clones.put(clone)
        return clone, round(time.monotonic() - start)

    pool = ThreadPoolExecutor(jobs)
    try:
        # This thread starts each run: after Ctrl-C, which it gets, none begins.
        waiting = iter(specs)
        running = {pool.submit(run_spec, spec): spec for spec in itertools.islice(waiting, jobs)}
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                spec = running.pop(future)
                clone, seconds = future.result()
                commit = _fetch(clone, spec)
                if (following := next(waiting, None)) is not None:
                    running[pool.submit(run_spec, following)] = following
                yield spec, commit, seconds
    finally:
        pool.shutdown()
        shutil.rmtree(CLONES, ignore_errors=True)


def _clone(folder: Path) -> Path:
    """Clone this workspace with its outputs. The clone shares DVC's cache and settings.

    Raises InputError where this workspace is not the root of a Git repository.
    """
    if inside := git("rev-parse", "--show-prefix").strip():
        raise InputError(
            f"this project is the folder {inside} of a Git repository; expected a repository of "
            "its own, as each run has a clone"
        )
    git("clone", "--quiet", "--shared", ".", str(folder), check=True)
    settings = Path(".dvc/config.local")
    if settings.is_file():
        shutil.copy(settings, folder / settings)
    # A relative path: DVC cannot write `#` or, in some locales, `ö` into its settings.
    cache = os.path.relpath(_dvc("cache", "dir").strip(), folder)
    _dvc("cache", "dir", "--local", cache, folder=folder)
    _dvc("config", "--local", "cache.type", LINKS, folder=folder)
    _dvc("checkout", "--quiet", "--allow-missing", folder=folder)
    return folder


def _run_in(clone: Path, spec: RunSpec, source: str, threads: int, lock: int) -> None:
    """Execute a run as a DVC experiment on the files of the commit `source`."""
    git("-C", str(clone), "reset", "--quiet", "--hard", check=True)
    git("-C", str(clone), "restore", f"--source={source}", ".", check=True)
    write_changes(clone / PARAMS_FILE, spec.changes, spec.name)
    log = _log_path(spec)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        subprocess.run(
            ["dvc", "exp", "run", "--name", spec.name, TARGET],
            cwd=clone,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[lock],
            check=False,
        )


def _fetch(clone: Path, spec: RunSpec) -> str | None:
    """Fetch the experiment of a clone and return its commit, or None if the run made none."""
    experiment = experiments(clone).get(spec.name)
    if experiment is None:
        return None
    git("fetch", "--quiet", str(clone), f"+{experiment.ref}:{experiment.ref}", check=True)
    return experiment.commit


def read_result(spec: RunSpec, commit: str, seconds: int | None) -> Result:
    """Read the result of the DVC experiment at `commit` from DVC's cache."""
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
        answers[benchmark] = results.count_answers(rows)
    kept = {stage: counts(stage) for stage in COUNTED}
    if kept["train"].get(results.POLICY_AGAINST_BASE) is not None:
        with files.open(str(paths.SELECTED)) as file:
            selected = pl.read_parquet(file.read(), columns=["pair_id", "score"])
        kept["train"] = results.add_deltas(kept["train"], selected)
    return Result(
        key=spec.key,
        name=spec.name,
        changes=dict(spec.changes),
        commit=git("rev-parse", "--short", f"{commit}^", check=True).strip(),
        date=git("show", "--no-patch", "--format=%cs", commit, check=True).strip(),
        seconds=seconds,
        counts=kept,
        scores=scores,
        answers=answers,
    )


def _log_path(spec: RunSpec) -> Path:
    return LOGS / f"{spec.name}.log"


def _dvc(*words: str, folder: Path = Path()) -> str:
    done = subprocess.run(
        ["dvc", *words], cwd=folder, check=False, capture_output=True, encoding="utf-8"
    )
    if done.returncode:
        raise InputError(f"dvc {' '.join(words)}: {dvc_error(done.stderr)}")
    return done.stdout


def dvc_error(output: str) -> str:
    """Return the error in the `output` of DVC, without the offers of help after it."""
    _, error, after = output.rpartition("ERROR: ")
    last_line = output.strip().rpartition("\n")[2]
    text = re.split(rf"\n(?=\n|{'|'.join(OFFERS_OF_HELP)})", after if error else last_line)[0]
    return " ".join(text.split()) or "it ended without a reason"
