"""Refuse experiments that read untracked data files: their clones have only what Git tracks."""

from collections.abc import Iterable
from pathlib import Path

import yaml

from delta.check import Params
from delta.core.errors import InputError
from delta.core.git import git
from delta.experiments.grid import Changes
from delta.plan.availability import external_sources

DVC_FILE = Path("dvc.yaml")


def check_tracked(params: Params, changes: Changes, where: str) -> None:
    """Raise InputError where a run with `changes` reads a relative path that Git does not track.

    `params` are those of the run. A stage with unchanged parameters does not run again, so its
    files are not needed. `where` begins the message.
    """
    for source in external_sources(params):
        path = Path(source.name)
        if source.kind != "path" or path.is_absolute() or _is_tracked(path):
            continue
        if _is_rerun(source.stage, changes):
            raise InputError(
                f"{where}: it reads {source.name!r} ({source.key}), which is not in Git, and a "
                f"run has only what Git tracks; expected: `git add {source.name}`, or an "
                "absolute path"
            )


def _is_tracked(path: Path) -> bool:
    """Return whether DVC or Git tracks the file, or all files of the folder but hidden ones."""
    if _list_files(path.with_name(f"{path.name}.dvc")):
        return True
    untracked = [Path(name).relative_to(path) for name in _list_files(path, "--others")]
    is_missing = any(not any(part.startswith(".") for part in name.parts) for name in untracked)
    return bool(_list_files(path)) and not is_missing


def _list_files(path: Path, *options: str) -> list[str]:
    listed = git("--literal-pathspecs", "ls-files", "-z", *options, "--", str(path))
    return listed.split("\0")[:-1]


def _is_rerun(stage: str, changes: Iterable[str]) -> bool:
    return any(
        f"{parameter}.".startswith(f"{changed}.") or changed.startswith(f"{parameter}.")
        for parameter in _parameters(stage)
        for changed in changes
    )


def _parameters(stage: str) -> list[str]:
    """Return the dotted parameters of a stage ("problems") or of an item ("fetch@MODEL")."""
    name, _, item = stage.partition("@")
    content = yaml.safe_load(DVC_FILE.read_text(encoding="utf-8"))["stages"][name]
    return [entry.replace("${key}", item) for entry in content.get("do", content)["params"]]
