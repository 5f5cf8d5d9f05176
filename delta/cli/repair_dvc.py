"""Before `dvc repro`: mends what a kill has torn of the lists that DVC writes over themselves.

- `.dvc/tmp/rwlock`, who reads and writes what, and that of the experiments: no command that needs
  it starts any more (DVC issue 7615). It is dropped; DVC itself forgets who is gone.
- `dvc.lock`, what every stage was last made of: DVC refuses half of the places where it tears, and
  in the others takes the stages behind the tear for never run. Stages before the tear stay, the
  others are as in the last commit; what was made since then is in DVC's run cache, so that nothing
  runs twice. Only of the file's last stage a loss cannot be seen: that one stage may run again.
"""

import json
import re
import sys
from pathlib import Path

import yaml

from delta.cli import exit
from delta.core.git import git

LISTS = (Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/exps/rwlock"))
SCHEMA = "schema: '2.0'\n"
CONFLICT = "<<<<<<<"  # a merge that a person has to finish


def unlock(root: Path) -> list[str]:
    """What was mended, a line each. DVC's LockError where another DVC is at work."""
    lists = [root / name for name in LISTS]
    lock = root / "dvc.lock"
    if not _is_torn_lock(lock) and not any(map(_is_torn_list, lists)):
        return []
    from dvc.lock import make_lock
    from dvc.repo import Repo

    said = []
    with Repo(str(root)) as repo:
        hard = repo.config["core"].get("hardlink_lock", False)
        for listed in filter(_is_torn_list, lists):
            # The locks are those under which DVC writes.
            folder = str(listed.parent)
            with make_lock(f"{listed}.lock", tmp_dir=folder, hardlink_lock=hard):
                if _is_torn_list(listed):
                    listed.unlink()
                    said.append(f"{listed.relative_to(root)}: torn by a kill; removed")
        if _is_torn_lock(lock):
            with repo.lock:
                if _is_torn_lock(lock) and _mend(lock):
                    said.append(
                        "dvc.lock: torn by a kill; what is missing behind the tear is as in the "
                        "last commit, and `make repro` finds again what was made since"
                    )
    return said


def _is_torn_list(listed: Path) -> bool:
    try:
        json.loads(listed.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False


def _is_torn_lock(lock: Path) -> bool:
    """Not where there is none: then everything is to run. Nor in a merge or of another schema."""
    if not lock.exists():
        return False
    text = _text(lock)
    if CONFLICT in text or not (text.startswith(SCHEMA) or SCHEMA.startswith(text)):
        return False
    return not _is_whole(text) or bool(_committed(lock).keys() - _stages(text))


def _mend(lock: Path) -> bool:
    """Whether it could be: where it is damaged otherwise too, DVC says what is wrong."""
    before_tear = dict(list(_stages(_text(lock)).items())[:-1])
    stages = _committed(lock) | before_tear
    text = SCHEMA + ("stages:\n" if stages else "") + "".join(stages.values())
    if not _is_whole(text):
        return False
    mended = lock.with_name(".dvc") / "tmp" / lock.name
    mended.write_text(text, encoding="utf-8")
    mended.replace(lock)
    return True


def _text(lock: Path) -> str:
    return lock.read_text(encoding="utf-8", errors="replace")


def _is_whole(text: str) -> bool:
    """Whether DVC reads it, and it ends as DVC ends a file."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(text, yaml.CSafeLoader))  # DVC's parser takes a second
    except (yaml.YAMLError, ValueError, Invalid):
        return False
    return text.endswith("\n")  # else the end of a number may be missing


def _stages(text: str) -> dict[str, str]:
    """The text of every stage by its name."""
    _, *stages = re.split(r"^(?=  \S)", text, flags=re.MULTILINE)
    return {stage.partition("\n")[0].strip(" :"): stage for stage in stages}


def _committed(lock: Path) -> dict[str, str]:
    """The stages of the last commit's `dvc.lock` that `dvc.yaml` still has."""
    committed = git("-C", str(lock.parent), "show", f"HEAD:./{lock.name}")
    if not _is_whole(committed):
        return {}
    try:
        known = yaml.load(lock.with_name("dvc.yaml").read_bytes(), yaml.CSafeLoader)["stages"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return {}  # DVC names the line
    stages = _stages(committed)
    return {name: stages[name] for name in stages if name.partition("@")[0] in known}


def main() -> None:
    from dvc.lock import LockError

    try:
        for line in unlock(Path()):
            print(line, file=sys.stderr)
    except LockError as error:
        sys.exit(str(error))


def start() -> None:
    exit.parse_no_arguments(__doc__)
    main()
