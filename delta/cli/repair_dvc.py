"""Repair the files of DVC that a kill can cut short. Run it before `dvc repro`.

- `.dvc/tmp/rwlock` and `.dvc/tmp/exps/rwlock`: DVC refuses to run with a truncated one (DVC issue
  7615). The file is removed; DVC forgets processes that have ended anyway.
- `dvc.lock`: with a truncated one, DVC either refuses to run or takes the missing stages for never
  run. Entries before the truncation are kept, the others are restored from HEAD, and DVC's run
  cache has what was run since. A truncation inside the last entry cannot be detected, so that
  stage may rerun.

Only this file uses DVC's `make_lock`, its schema of dvc.lock and the layout of that file. It can go
when DVC replaces both files atomically.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import yaml

from delta.core.git import git

RWLOCKS = (Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/exps/rwlock"))
SCHEMA = "schema: '2.0'\n"
CONFLICT = "<<<<<<<"  # a merge that a person has to finish


def repair(root: Path) -> list[str]:
    """Repair the files and return a line for each.

    Raises DVC's LockError where another DVC process is running.
    """
    rwlocks = [root / name for name in RWLOCKS]
    lock = root / "dvc.lock"
    if not _is_truncated_lock(lock) and not any(map(_is_truncated_rwlock, rwlocks)):
        return []
    from dvc.lock import make_lock
    from dvc.repo import Repo

    lines = []
    with Repo(str(root)) as repo:
        hard = repo.config["core"].get("hardlink_lock", False)
        for rwlock in filter(_is_truncated_rwlock, rwlocks):
            # DVC holds the same lock when it writes the file.
            folder = str(rwlock.parent)
            with make_lock(f"{rwlock}.lock", tmp_dir=folder, hardlink_lock=hard):
                if _is_truncated_rwlock(rwlock):
                    rwlock.unlink()
                    lines.append(f"{rwlock.relative_to(root)}: truncated by a kill; removed")
        if _is_truncated_lock(lock):
            with repo.lock:
                if _is_truncated_lock(lock) and _restore(lock):
                    lines.append(
                        "dvc.lock: truncated by a kill; the entries after the cut are restored "
                        "from HEAD, and `make repro` finds what was run since"
                    )
    return lines


def _is_truncated_rwlock(rwlock: Path) -> bool:
    try:
        json.loads(rwlock.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False


def _is_truncated_lock(lock: Path) -> bool:
    """Return whether the file was cut short; False in a merge and for another schema."""
    if not lock.exists():
        return False
    text = _read(lock)
    if CONFLICT in text or not (text.startswith(SCHEMA) or SCHEMA.startswith(text)):
        return False
    return not _is_complete(text) or bool(_committed_stages(lock).keys() - _split_stages(text))


def _restore(lock: Path) -> bool:
    """Restore the file and return True. Return False for other damage, which DVC reports."""
    intact = dict(list(_split_stages(_read(lock)).items())[:-1])
    stages = _committed_stages(lock) | intact
    text = SCHEMA + ("stages:\n" if stages else "") + "".join(stages.values())
    if not _is_complete(text):
        return False
    repaired = lock.with_name(".dvc") / "tmp" / lock.name
    repaired.write_text(text, encoding="utf-8")
    repaired.replace(lock)
    return True


def _read(lock: Path) -> str:
    return lock.read_text(encoding="utf-8", errors="replace")


def _is_complete(text: str) -> bool:
    """Return whether DVC can parse `text` as dvc.lock and its last line is complete."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(text, yaml.CSafeLoader))  # DVC's parser takes a second
    except (yaml.YAMLError, ValueError, Invalid):
        return False
    return text.endswith("\n")  # otherwise the last number may be cut


def _split_stages(text: str) -> dict[str, str]:
    """Return the lines of each stage by its name."""
    _, *stages = re.split(r"^(?=  \S)", text, flags=re.MULTILINE)
    return {stage.partition("\n")[0].strip(" :"): stage for stage in stages}


def _committed_stages(lock: Path) -> dict[str, str]:
    """Return the stages of the last commit's `dvc.lock` that `dvc.yaml` still has."""
    committed = git("-C", str(lock.parent), "show", f"HEAD:./{lock.name}")
    if not _is_complete(committed):
        return {}
    try:
        known = yaml.load(lock.with_name("dvc.yaml").read_bytes(), yaml.CSafeLoader)["stages"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return {}  # DVC names the line
    stages = _split_stages(committed)
    return {name: stages[name] for name in stages if name.partition("@")[0] in known}


def main(_options: argparse.Namespace) -> None:
    from dvc.lock import LockError

    try:
        for line in repair(Path()):
            print(line, file=sys.stderr)
    except LockError as error:
        sys.exit(str(error))
