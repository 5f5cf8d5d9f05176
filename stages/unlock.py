"""Before `dvc repro`: mends what a kill has torn of the two lists that DVC writes over themselves.

With half a list every later command of DVC ends with an error.

- `.dvc/tmp/rwlock`, who reads and writes what (DVC issue 7615), is dropped. Those who stood in it
  are gone with the kill; who works at the same time is kept apart by the reply store.
- `dvc.lock`, what every stage was last made of: a second's work for DVC where it is long. Stages
  before the tear stay, the others are as in the last commit; what was made since then and stood
  behind the tear is in DVC's run cache, so that nothing runs twice.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

FOLDER = Path(".dvc/tmp")
SCHEMA = "schema: '2.0'\n"
CONFLICT = "<<<<<<<"  # a merge that a person has to finish


def drop_torn_list(root: Path) -> bool:
    """Whether a torn `rwlock` was there and is gone."""
    listed = root / FOLDER / "rwlock"
    if _is_whole_list(listed):
        return False
    from dvc.lock import make_lock

    with make_lock(f"{listed}.lock", tmp_dir=str(listed.parent)):  # DVC's own, as it writes
        if _is_whole_list(listed):
            return False
        listed.unlink()
    return True


def _is_whole_list(listed: Path) -> bool:
    try:
        json.loads(listed.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


def mend_lock(root: Path) -> bool:
    """Whether a torn `dvc.lock` was there and is mended; one with a conflict is left alone."""
    lock = root / "dvc.lock"
    if not lock.exists() or _is_whole_lock(_text(lock)):
        return False
    from dvc.lock import make_lock

    folder = root / FOLDER
    with make_lock(str(folder / "lock"), tmp_dir=str(folder)):  # DVC's own, as it writes
        text = _text(lock)
        if CONFLICT in text or _is_whole_lock(text):
            return False
        before_tear = dict(list(_stages(text).items())[:-1])
        stages = _stages(_committed(root)) | before_tear
        mended = SCHEMA + ("stages:\n" if stages else "") + "".join(stages.values())
        if not _is_whole_lock(mended):
            return False  # no kill did that
        whole = folder / "dvc.lock"
        whole.write_text(mended)
        whole.replace(lock)
    return True


def _text(lock: Path) -> str:
    return lock.read_text(errors="replace")


def _is_whole_lock(text: str) -> bool:
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(text, yaml.CSafeLoader))  # DVC's own takes a second
    except (yaml.YAMLError, Invalid):
        return False
    return text.endswith("\n")  # else the end of a number may be missing


def _stages(text: str) -> dict[str, str]:
    """The text of every stage, by the line with its name."""
    _, *stages = re.split(r"^(?=  \S)", text, flags=re.MULTILINE)
    return {stage.partition("\n")[0]: stage for stage in stages}


def _committed(root: Path) -> str:
    """`dvc.lock` of the last commit; nothing where there is none."""
    shown = subprocess.run(
        ["git", "show", "HEAD:./dvc.lock"], cwd=root, capture_output=True, text=True, check=False
    )
    return shown.stdout


def main() -> None:
    from dvc.lock import LockError

    try:
        if drop_torn_list(Path()):
            print(f"{FOLDER / 'rwlock'}: torn by a kill; removed", file=sys.stderr)
        if mend_lock(Path()):
            said = "torn by a kill; what stood behind the tear is as in the last commit"
            print(f"dvc.lock: {said}", file=sys.stderr)
    except LockError as error:  # another DVC is at work
        sys.exit(str(error))


if __name__ == "__main__":
    main()
