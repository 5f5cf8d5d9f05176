"""The report's page and the browser of pairs at the paper's size, opened in Chromium.

    make bench NAME=pages

The report shows a world in which all of the paper's runs are there, with benchmarks of their real
sizes; the browser of pairs 16,500 pairs of simulated traces. The clock starts when a running
Chromium is told to open the file. The report is usable when it has loaded, is laid out and has
shown its last heading; the browser of pairs when its list stands there.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import results, simulated
from bench.memory import BAR_GIB, GIB, lay_out
from delta.report import paper
from delta.report.claims.decide import decide
from delta.report.figures import data
from delta.report.figures import paper as paper_figures
from delta.report.html.page import render
from tests.helpers.browser import open_page
from tests.helpers.paper_results import REAL_SIZES, paper_context

TURNS = 5
LIMIT_S = 2


def report(folder: Path) -> Path:
    context = paper_context(REAL_SIZES)
    rows = data.build_rows(context)
    paper_figures.draw_all(rows, folder)
    results = decide(paper.claims(), context)
    target = folder / "index.html"
    target.write_text(render(context, rows, results, folder), encoding="utf-8")
    return target


def pairs(folder: Path) -> Path:
    lay_out(folder, simulated.PROBLEMS, samples=1)
    for stage in ("pair", "select", "browse"):
        command = [sys.executable, "-m", f"stages.{stage}"]
        env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        subprocess.run(command, cwd=folder, env=env, check=True)
    return folder / "report" / "pairs" / "index.html"


def report_usable(shown: Any) -> None:
    shown.locator("h2").last.scroll_into_view_if_needed()
    shown.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def pairs_usable(shown: Any) -> None:
    shown.locator("#pairs li").first.wait_for()


def seconds_to_use(path: Path, usable: Callable[[Any], None]) -> float:
    """In a fresh profile."""
    with open_page("about:blank") as (shown, errors):
        start = time.perf_counter()
        shown.goto(path.as_uri())
        usable(shown)
        seconds = time.perf_counter() - start
        assert errors == []
    return seconds


def main() -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        made = report(Path(one))
        gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
        pages = {"report": (made, report_usable), "pairs": (pairs(Path(other)), pairs_usable)}
        sizes = {name: path.stat().st_size / 2**20 for name, (path, _) in pages.items()}
        seconds = {
            name: [seconds_to_use(path, usable) for _ in range(TURNS)]
            for name, (path, usable) in pages.items()
        }
    table = [
        [name, f"{sizes[name]:.1f}", " ".join(f"{took:.2f}" for took in times)]
        for name, times in seconds.items()
    ]
    head = ["page", "MiB of index.html", f"seconds until it is usable, {TURNS} times"]
    longest = max(took for times in seconds.values() for took in times)
    results.record(
        "pages",
        "make bench NAME=pages",
        f"{simulated.PROBLEMS:,} pairs of traces of {simulated.CHARACTERS:,} characters.\n\n"
        f"{results.table(head, table)}\n\nthe longest: **{longest:.2f} s** (bar: less than "
        f"{LIMIT_S}). The process that made the report's page had at most **{gib:.2f} GiB** (bar: "
        f"less than {BAR_GIB}).",
    )


if __name__ == "__main__":
    main()
