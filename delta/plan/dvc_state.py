"""Ask DVC which stages `dvc repro` would run now, without running or writing anything.

`dvc repro --dry` would stop at the first missing dependency. Stages that DVC would restore from its
run cache count as to be run.
"""

import contextlib
import logging
from collections.abc import Collection, Iterator, Mapping
from graphlib import TopologicalSorter
from typing import Any, NamedTuple

from delta.core.errors import InputError
from delta.core.params import PARAMS_FILE

RUNS = "runs"
WAITS = "waits"  # unchanged, but a stage before it runs
UP_TO_DATE = "up to date"
STATES = (RUNS, WAITS, UP_TO_DATE)


class Stage(NamedTuple):
    """A stage item as DVC sees it."""

    name: str  # "generate@zero-shot"
    before: tuple[str, ...]  # the stages whose outputs it reads
    changed: tuple[str, ...]  # code, parameters ("params.yaml:selector.k"), lost outputs
    data_changed: bool  # whether the output of another stage has changed
    state: str = UP_TO_DATE

    @property
    def never_ran(self) -> bool:
        """Return whether DVC knows no run of this stage."""
        return PARAMS_FILE.name in self.changed  # all its parameters are new to DVC

    @property
    def params_changed(self) -> bool:
        """Return whether a parameter has changed since the last run."""
        return any(entry.startswith(PARAMS_FILE.name) for entry in self.changed)


def read_stages() -> list[Stage]:
    """Return all stages in the order of dvc.yaml. Raises InputError if DVC fails."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import SCMError

    logging.getLogger("dvc").setLevel(logging.ERROR)  # no progress bars
    try:
        with Repo() as repo:
            status: dict[str, list[Any]] = repo.status()
            outputs = [str(out) for stage in repo.index.stages for out in stage.outs]
            stages = [
                _stage(
                    stage.addressing,
                    tuple(before.addressing for before in repo.index.graph.successors(stage)),
                    status.get(stage.addressing, []),
                    outputs,
                )
                for stage in repo.index.stages
            ]
    except SCMError as error:
        raise InputError(
            f"{error}; expected a clone (`git clone`), as DVC needs Git; or `git init` here"
        ) from error
    except DvcException as error:
        raise InputError(f"DVC: {' '.join(str(error).split())}") from error
    return with_states(stages)


def restorable(names: Collection[str]) -> set[str]:
    """Return those of the stages whose outputs `dvc repro` would restore without running them.

    Only parameters, code and data that dvc.lock has are recognized, as by `dvc repro --dry`.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.stage.cache import RunCacheNotFoundError

    found = set()
    with Repo() as repo:
        for stage in repo.index.stages:
            if stage.addressing in names:
                with contextlib.suppress(RunCacheNotFoundError, DvcException):
                    repo.stage_cache.restore(stage, dry=True)
                    found.add(stage.addressing)
    return found


def ancestors(name: str, stages: Mapping[str, Stage]) -> set[str]:
    """Return the names of all stages that the stage needs, directly or not."""
    found: set[str] = set()
    left = [name]
    while left:
        new = set(stages[left.pop()].before) - found
        found |= new
        left += new
    return found


def run_order(stages: list[Stage]) -> list[Stage]:
    """Return the stages in the order in which `dvc repro` takes them: depth first."""
    by_name = {stage.name: stage for stage in stages}
    order: dict[str, Stage] = {}

    def visit(stage: Stage) -> None:
        for before in stage.before:
            if before not in order:
                visit(by_name[before])
        order[stage.name] = stage

    for stage in stages:
        if stage.name not in order:
            visit(stage)
    return list(order.values())


def _stage(name: str, before: tuple[str, ...], status: list[Any], outputs: list[str]) -> Stage:
    changed, data_changed = [], False
    for kind, entry in _changes(status):
        if kind == "changed deps" and any(
            entry == output or output.startswith(f"{entry}/") for output in outputs
        ):
            data_changed = True
        else:
            changed.append(entry)
    return Stage(name, before, tuple(changed), data_changed)


def _changes(status: list[Any]) -> Iterator[tuple[str, str]]:
    """Yield (kind of change, file or parameter) from the nested lists and mappings of a status."""
    for part in status:
        if isinstance(part, str):
            if part != "changed command":  # it follows from its parameters
                yield part, part
            continue
        for kind, entries in part.items():
            for path, change in entries.items():
                if isinstance(change, dict):  # of a parameter file: by key
                    yield from ((kind, f"{path}:{key}") for key in change)
                else:
                    yield kind, path


def with_states(stages: list[Stage]) -> list[Stage]:
    """Return the stages with what `dvc repro` would do with each."""
    by_name = {stage.name: stage for stage in stages}
    order = TopologicalSorter({stage.name: stage.before for stage in stages}).static_order()
    states: dict[str, str] = {}
    for name in order:
        stage = by_name[name]
        waiting = any(states[before] != UP_TO_DATE for before in stage.before)
        if stage.changed or (stage.data_changed and not waiting):
            states[name] = RUNS
        else:
            states[name] = WAITS if waiting else UP_TO_DATE
    return [stage._replace(state=states[stage.name]) for stage in stages]
