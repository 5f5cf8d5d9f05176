"""What opening a shelf of the reply store takes, and adding a file of replies to DVC's cache."""

import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from delta.replies import Shelf


class Opened(NamedTuple):
    keys: int
    gigabytes: float
    seconds: float
    index: float  # bytes of memory a key


def fill(folder: Path, keys: int, letters: int) -> None:
    """By the store's own put, so that the lines are its own."""
    text = "so x = 3, and " * (letters // 14)
    with Shelf(folder) as shelf:
        for number in range(keys):
            key = f"{number:064x}"
            value = {"text": text, "finish_reason": "stop"}
            shelf.put(key, value | {"prompt_tokens": 200, "completion_tokens": letters // 4})


def opened(folder: Path) -> Opened:
    """For a process of its own: its peak memory is that of the index."""
    size = sum(file.stat().st_size for file in folder.glob("*.log"))
    before = peak_bytes()
    start = time.perf_counter()
    with Shelf(folder) as shelf:
        seconds = time.perf_counter() - start
        return Opened(len(shelf), size / 1e9, seconds, (peak_bytes() - before) / len(shelf))


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def dvc_add(file: Path) -> float:
    """Seconds for hashing a file into DVC's cache and linking it back."""
    workspace = file.parent / "dvc"
    workspace.mkdir()
    shutil.move(file, workspace / "replies.log")
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--no-scm", "--quiet"], cwd=workspace, check=True)
    start = time.perf_counter()
    subprocess.run([*dvc, "add", "replies.log", "--quiet"], cwd=workspace, check=True)
    seconds = time.perf_counter() - start
    shutil.rmtree(workspace)
    return seconds
