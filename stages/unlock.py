"""Before `dvc repro`: drops DVC's list of who reads and writes what, where a kill has torn it.

DVC rewrites `.dvc/tmp/rwlock` before and after each stage. Killed in the middle it leaves half a
list, and every later command ends with "JSON structure is corrupted" (DVC issue 7615). Those who
stood in it are gone with the kill; who works at the same time is kept apart by the reply store.
"""

import json
import sys
from pathlib import Path

FOLDER = Path(".dvc/tmp")


def unlock(folder: Path) -> bool:
    """Whether a torn list was there and is gone."""
    listed = folder / "rwlock"
    if _is_whole(listed):
        return False
    from dvc.lock import make_lock

    with make_lock(str(folder / "rwlock.lock"), tmp_dir=str(folder)):  # DVC's own, as it writes
        if _is_whole(listed):
            return False
        listed.unlink()
    return True


def _is_whole(listed: Path) -> bool:
    try:
        json.loads(listed.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    if unlock(FOLDER):
        print(f"{FOLDER / 'rwlock'}: torn by a kill; removed", file=sys.stderr)
