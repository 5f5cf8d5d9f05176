"""Write the newest result of each benchmark to bench/RESULTS.md.

A benchmark measures two ways in alternating turns and reports their ratio, because seconds depend
on the machine and its load.
"""

import argparse
import datetime
import multiprocessing
import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

FILE = Path(__file__).with_name("RESULTS.md")
TITLE = """# Results of `make bench`

Ratios of two things measured in turns, in one run on one machine. Each section is the newest run
of one benchmark; the command in it repeats the run.
"""


P = ParamSpec("P")
R = TypeVar("R")


class Ratio(NamedTuple):
    """Ratio of the medians of two lists of seconds, and the lowest and highest ratio of a turn."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def argument_parser(docstring: str | None) -> argparse.ArgumentParser:
    """Return a parser whose --help prints the first line of a benchmark's docstring."""
    return argparse.ArgumentParser(description=(docstring or "").split("\n", maxsplit=1)[0])


def in_fresh_process(function: Callable[P, R], *arguments: P.args, **options: P.kwargs) -> R:
    """Return the function's result from a fresh process, which shares no cache and no memory."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(function, *arguments, **options).result()


def in_turns(ways: Mapping[str, Callable[[], object]], turns: int) -> dict[str, list[float]]:
    """Return the seconds of each way: all ways in order, `turns` times, after one uncounted turn.

    A way that returns a float has measured its own seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            measured = way()
            if turn:
                elapsed = measured if isinstance(measured, float) else time.perf_counter() - start
                seconds[name].append(elapsed)
    return seconds


def ratio(numerator: list[float], denominator: list[float]) -> Ratio:
    turns = [a / b for a, b in zip(numerator, denominator, strict=True)]
    value = statistics.median(numerator) / statistics.median(denominator)
    return Ratio(value, min(turns), max(turns))


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def record(name: str, command: str, text: str) -> None:
    """Print `text` and write it to the section `name` of RESULTS.md."""
    commit = _output("git", "describe", "--always", "--dirty", "--exclude", "*")
    today = datetime.datetime.now(datetime.UTC).date()
    section = f"## {name}\n`{command}`, {today}, commit {commit}, {machine()}\n\n{text}\n"
    print(section)
    content = FILE.read_text() if FILE.exists() else TITLE
    sections = [part for part in re.split(r"^(?=## )", content, flags=re.MULTILINE) if part.strip()]
    parts = [part.strip() for part in sections if not part.startswith(f"## {name}\n")]
    FILE.write_text("\n\n".join([*parts, section.strip()]) + "\n")


def machine() -> str:
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    total = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    memory = f", {int(total[1]) / 2**20:.0f} GiB" if total else ""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {model[1] if model else platform.machine()}{memory}"


def _output(*command: str) -> str:
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return process.stdout.strip()
