"""Measure how fast the disk writes and reads, and how fast files are digested."""

import importlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.gpu_checks.check import Measurement, Setting
from delta.core import fingerprint
from delta.training import checkpoints

BLOCK = 1 << 24
GB = 1e9
SHARDS = 4


def run(setting: Setting) -> Iterator[Measurement]:
    """Yield GB a second of writing, reading, and each of the three digests."""
    size = setting.sized(8 * 2**30, 64 * 2**20)
    folder = setting.folder / "checkpoint-1"
    folder.mkdir()
    files = [folder / f"model-{number}.safetensors" for number in range(SHARDS)]
    block = os.urandom(BLOCK)
    details = {"gb": size / GB, "files": SHARDS, "folder": str(setting.folder.parent)}

    def write() -> None:
        for file in files:
            with file.open("wb") as target:
                for _ in range(size // SHARDS // BLOCK):
                    target.write(block)
                target.flush()
                os.fsync(target.fileno())

    def read() -> None:
        for file in files:
            _forget(file)
            with file.open("rb", buffering=0) as source:
                while source.read(BLOCK):
                    pass

    yield Measurement("disk_write", _rate(write, size), details)
    yield Measurement("disk_read", _rate(read, size), details)
    # Read just now: these time the processor.
    yield Measurement(
        "sha256", _rate(lambda: fingerprint.compute_fingerprint(folder), size), details
    )
    yield Measurement(
        "checkpoint_checksums",
        _rate(lambda: checkpoints.mark_complete(folder, resumable=False), size),
        details,
    )
    # What DVC hashes its outputs with; DVC itself has no name for it.
    file_md5 = importlib.import_module("dvc_data.hashfile.hash").file_md5
    yield Measurement("dvc_md5", _rate(lambda: [file_md5(str(f)) for f in files], size), details)
    shutil.rmtree(folder)


def _rate(work: Callable[[], object], size: int) -> float:
    start = time.perf_counter()
    work()
    return size / GB / (time.perf_counter() - start)


def _forget(path: Path) -> None:
    """Drop a file from the page cache, so that it is read from the disk."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
