"""Measure what one pair costs where all pairs are held: reply cache, pair viewer, DVC's cache.

`python -m bench.scale` runs this. The units are bytes of memory and CPU seconds per reply for the
reply cache, characters per pair for the pair viewer, and GB per CPU second for DVC's cache.
"""

import base64
import gzip
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench import results
from delta.inference.reply_cache import ReplyCache

CACHES = ((200_000, 400), (20_000, 20_000))  # replies, characters of each
TRACES = 8  # of a generator and problem
PAGE = (1_000, 600)  # pairs, characters of a trace
STRING = 2**29 - 24  # characters: the most that V8, Chromium's JavaScript, holds in one string
MEMORY = 24 * 2**30  # bytes of memory in which a laptop's run should end


def memory(name: str) -> int:
    """Return the VmRSS or VmHWM (peak) of this process in bytes; ru_maxrss outlives an exec."""
    match = re.search(rf"^{name}:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024


class OpeningRun(NamedTuple):
    keys: int
    gigabytes: float
    seconds: float  # of CPU time
    bytes_per_key: float  # bytes of memory


class Measurement(NamedTuple):
    text: str
    bytes_per_key: float  # bytes of memory
    opening: float  # GB per second
    adding: float
    gigabytes: float  # per trace
    page: float  # characters per pair of the pair viewer's list


def fill(folder: Path, keys: int, characters: int) -> None:
    """Fill a reply cache through its own `put`."""
    text = "so x = 3, and " * (characters // 14)
    with ReplyCache(folder) as cache:
        for number in range(keys):
            key = f"{number:064x}"
            value = {"text": text, "finish_reason": "stop"}
            cache.put(key, value | {"prompt_tokens": 200, "completion_tokens": characters // 4})


def measure_opening(folder: Path) -> OpeningRun:
    """Open a reply cache and measure it. Call it in a fresh process."""
    size = sum(file.stat().st_size for file in folder.glob("*.log"))
    before, start = memory("VmRSS"), time.process_time()
    with ReplyCache(folder) as cache:
        seconds = time.process_time() - start
        return OpeningRun(len(cache), size / 1e9, seconds, (memory("VmHWM") - before) / len(cache))


def dvc_add(file: Path) -> float:
    """Return the CPU seconds in which DVC hashes a file and caches it, without DVC's start."""
    workspace = file.parent / "dvc"
    workspace.mkdir()
    shutil.move(file, workspace / "large")
    (workspace / "small").write_text("x")
    _dvc(workspace, "init", "--no-scm")
    seconds = _dvc(workspace, "add", "large") - _dvc(workspace, "add", "small")
    shutil.rmtree(workspace)
    return seconds


def _dvc(workspace: Path, *command: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "dvc", *command, "-q"], cwd=workspace, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def viewer_list_size(folder: Path) -> float:
    """Return the characters per pair in the one string that the pair viewer reads at its start."""
    from tests.helpers.simulated_pairs import write_simulated_run, write_viewer

    pairs, characters = PAGE
    folder.mkdir()
    write_simulated_run(folder, pairs, characters)
    write_viewer(folder)
    packed = (folder / "pairs/data/index.js").read_text().split('"')[-2]
    return len(gzip.decompress(base64.b64decode(packed)).decode()) / pairs


def measure(folder: Path) -> Measurement:
    runs = []
    for number, (keys, characters) in enumerate(CACHES):
        cache = folder / f"cache-{number}"
        fill(cache, keys, characters)
        runs.append(results.in_fresh_process(measure_opening, cache))
    traces = runs[-1]
    seconds = dvc_add(next(cache.glob("*.log")))
    page = viewer_list_size(folder / "page")
    rows = []
    for run, (_, characters) in zip(runs, CACHES, strict=True):
        rate = run.gigabytes / run.seconds
        numbers = [f"{run.gigabytes:.2f}", f"{run.seconds:.1f}", f"{rate:.2f}"]
        memory_per_reply = f"{run.bytes_per_key:,.0f}"
        rows.append([f"{run.keys:,}", f"{characters:,}", *numbers, memory_per_reply])
    head = [
        "replies",
        "characters",
        "GB",
        "CPU seconds to open",
        "GB/s",
        "bytes of memory per reply",
    ]
    adding = traces.gigabytes / seconds
    text = (
        f"{results.table(head, rows)}\n\n`dvc add` of {traces.gigabytes:.2f} GB: {seconds:.1f} "
        f"CPU seconds, {adding:.2f} GB/s (hashed and copied into the cache). The pair viewer's "
        f"list: {page:,.0f} characters per pair."
    )
    opening = traces.gigabytes / traces.seconds
    return Measurement(
        text, runs[0].bytes_per_key, opening, adding, traces.gigabytes / traces.keys, page
    )


def limits(measured: Measurement, selecting: float, sizes: Sequence[int]) -> str:
    """Return the table of what each part takes, and from how many pairs on it fails."""
    keys = TRACES * measured.bytes_per_key
    stored = TRACES * measured.gigabytes
    rows = [
        _row("pair viewer: its list, one string", measured.page, sizes, STRING),
        _row("`select`: all pairs in memory", selecting, sizes, MEMORY),
        _row("reply cache: index of one generator's traces", keys, sizes, MEMORY),
        _hours("reply cache: opening it at every start", stored / measured.opening, sizes),
        _hours("DVC: adding the same text to its cache", stored / measured.adding, sizes),
    ]
    head = ["part", "per pair", *(f"{size:,} pairs" for size in sizes), "ends at"]
    return results.table(head, rows)


def _row(part: str, each: float, sizes: Sequence[int], limit: int) -> list[str]:
    cells = [f"{each * size / 1e9:,.2f} GB" for size in sizes]
    ends_at = f"{limit / each / 1e6:,.1f} million ({limit / 2**30:.1f} GiB)"
    return [part, f"{each:,.0f} bytes", *cells, ends_at]


def _hours(part: str, each: float, sizes: Sequence[int]) -> list[str]:
    cells = [f"{each * size / 3600:,.2f} h" for size in sizes]
    day = 24 * 3600 / each / 1e6
    return [part, f"{each * 1e6:,.0f} µs", *cells, f"{day:,.0f} million (a day)"]
