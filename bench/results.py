"""Where the figures of `make bench` go: bench/RESULTS.md, the newest run of each benchmark.

Two things are compared in one run, in turns, and what counts is their ratio: seconds depend on the
machine and on what else it does.
"""

import datetime
import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("RESULTS.md")
TITLE = """# Results of `make bench`

Ratios of two things measured in turns, in one run on one machine. A section is the newest run of
one benchmark; its command makes it anew.
"""


class Ratio(NamedTuple):
    """Of the medians of two lists of seconds, and the least and the greatest ratio of a turn."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def in_turns(ways: Mapping[str, Callable[[], object]], turns: int) -> dict[str, list[float]]:
    """Seconds that each way takes, one after the other, `turns` times, after one that is not
    counted. A way that returns a float has taken its own time."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            own = way()
            if turn:
                taken = own if isinstance(own, float) else time.perf_counter() - start
                seconds[name].append(taken)
    return seconds


def ratio(of: list[float], to: list[float]) -> Ratio:
    each = [one / other for one, other in zip(of, to, strict=True)]
    return Ratio(statistics.median(of) / statistics.median(to), min(each), max(each))


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def record(name: str, command: str, text: str) -> None:
    """Print `text` and put it into RESULTS.md in place of the last of that name."""
    commit = _output("git", "describe", "--always", "--dirty", "--exclude", "*")
    today = datetime.datetime.now(datetime.UTC).date()
    section = f"## {name}\n`{command}`, {today}, commit {commit}, {machine()}\n\n{text}\n"
    print(section)
    content = FILE.read_text() if FILE.exists() else TITLE
    kept = [part for part in re.split(r"^(?=## )", content, flags=re.MULTILINE) if part.strip()]
    parts = [part.strip() for part in kept if not part.startswith(f"## {name}\n")]
    FILE.write_text("\n\n".join([*parts, section.strip()]) + "\n")


def machine() -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    total = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    memory = f", {int(total[1]) / 2**20:.0f} GiB" if total else ""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {model[1] if model else platform.machine()}{memory}"


def _output(*command: str) -> str:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()
