"""Which stages `dvc repro` would run now. DVC is asked; nothing is run and nothing is written.

`dvc repro --dry` is no help: it stops at the first dependency that a stage has yet to write.
"""

import logging
from collections.abc import Callable, Iterable
from functools import cache, partial
from graphlib import TopologicalSorter
from typing import Any, NamedTuple

from delta.core.errors import InputError
from delta.core.params import PARAMS_FILE

RUNS = "runs"
RESTORED = "restored"  # its result is in DVC's cache
WAITS = "waits"  # as it stands nothing changed, but a stage before it has yet to run
UP_TO_DATE = "up to date"
STATES = (RUNS, RESTORED, WAITS, UP_TO_DATE)


class Stage(NamedTuple):
    """One stage item as DVC sees it, in the order of dvc.yaml."""

    name: str  # "generate@zero-shot"
    before: tuple[str, ...]  # the stages whose outputs it reads
    changed: tuple[str, ...]  # own code, parameters ("params.yaml:selector.k"), lost outputs
    data_changed: bool  # whether a file that another stage writes is not what it was
    state: str = UP_TO_DATE

    @property
    def never_ran(self) -> bool:
        return PARAMS_FILE.name in self.changed  # all its parameters are new to DVC

    @property
    def params_changed(self) -> bool:
        return any(entry.startswith(PARAMS_FILE.name) for entry in self.changed)


def stages() -> list[Stage]:
    """All stages of dvc.yaml with their states. InputError where DVC cannot tell."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.ERROR)  # no bars, no "is cached, skipping run"
    try:
        with Repo() as repo, repo.lock:
            known = {stage.addressing: stage for stage in repo.index.stages}
            _parse_params_once(repo, known.values())
            return with_states(list(_stages(repo)), lambda name: _in_cache(repo, known[name]))
    except DvcException as error:
        raise InputError(f"DVC: {' '.join(str(error).split())}") from error


def _parse_params_once(repo: Any, known: Iterable[Any]) -> None:
    """DVC parses params.yaml anew for every stage, which takes longer than all the rest."""
    from dvc.dependency.param import ParamsDependency, read_param_file

    read = cache(partial(read_param_file, repo.fs))
    for stage in known:
        for dep in stage.deps:
            if isinstance(dep, ParamsDependency) and dep.params:
                dep.read_params = partial(_values, read, dep.fs_path, dep.params)


def _values(read: Callable[[str], Any], path: str, keys: list[str]) -> dict[str, Any]:
    """The value of every dotted key that the file has."""
    found = {}
    for key in keys:
        value = read(path)
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                break
            value = value[part]
        else:
            found[key] = value
    return found


def _stages(repo: Any) -> Iterable[Stage]:
    graph = repo.index.graph
    written = [str(out) for stage in repo.index.stages for out in stage.outs]
    for stage in repo.index.stages:
        before = tuple(one.addressing for one in graph.successors(stage))
        changed, data_changed = [], False
        for kind, entry in _entries(stage.status().get(stage.addressing, [])):
            if kind == "changed deps" and _is_written(entry, written):
                data_changed = True
            elif kind != "changed command":  # it changes with the parameters in it
                changed.append(entry)
        yield Stage(stage.addressing, before, tuple(changed), data_changed)


def _entries(status: list[Any]) -> Iterable[tuple[str, str]]:
    """(kind of change, file or parameter), from the nested lists and mappings of `dvc status`."""
    for part in status:
        if isinstance(part, str):
            yield part, part
            continue
        for kind, entries in part.items():
            for path, change in entries.items():
                if isinstance(change, dict):  # of a parameter file each key that changed
                    yield from ((kind, f"{path}:{key}") for key in change)
                else:
                    yield kind, path


def _is_written(path: str, written: list[str]) -> bool:
    """Whether a stage writes the file, or something in the folder."""
    return any(path == out or out.startswith(f"{path}/") for out in written)


def _in_cache(repo: Any, stage: Any) -> bool:
    """Return whether DVC would restore the stage's outputs in place of running it.

    Where dependencies are as in `dvc.lock`, DVC wants the outputs that are written there, which may
    be a colleague's, and does not look for others that its run cache has for these dependencies.
    """
    from dvc.exceptions import DvcException
    from dvc_data.hashfile.hash_info import HashInfo

    try:
        if stage.changed_stage() or not stage.deps_cached():
            stage.save_deps()  # in memory: what the files hold now
            for out in stage.outs:
                out.hash_info = HashInfo()  # else what was there last counts as what would come out
        repo.stage_cache.restore(stage, dry=True)
    except DvcException:
        return False
    return True


def with_states(found: list[Stage], in_cache: Callable[[str], bool]) -> list[Stage]:
    """The same stages with their `state`; `in_cache` says whether one's result is known."""
    by_name = {stage.name: stage for stage in found}
    order = TopologicalSorter({stage.name: stage.before for stage in found}).static_order()
    states: dict[str, str] = {}
    for name in order:
        stage = by_name[name]
        waiting = any(states[before] != UP_TO_DATE for before in stage.before)
        if waiting:
            states[name] = RUNS if stage.changed else WAITS
        elif stage.changed or stage.data_changed:
            states[name] = RESTORED if in_cache(name) else RUNS
        else:
            states[name] = UP_TO_DATE
    return [stage._replace(state=states[stage.name]) for stage in found]
