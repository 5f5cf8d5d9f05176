"""Measure the seconds until the report and the pair viewer are usable in Chromium, at paper size.

    make bench NAME=page_load

The report has results for all of the paper's runs, with benchmarks of their real sizes. The pair
viewer shows 16,500 pairs of synthetic traces. The clock starts when a running Chromium is asked to
open the file. The report is usable when it has loaded, is laid out and shows its last heading; the
pair viewer when its list is visible.
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

from bench import results, synthetic_data
from bench.memory import GIB, TARGET_GIB, write_workspace
from tests.helpers.browser import open_page
from tests.helpers.paper_results import REAL_SIZES, paper_context
from tests.helpers.this_run import render_page

TURNS = 5
LIMIT_S = 2


def report(folder: Path) -> Path:
    target = folder / "index.html"
    target.write_text(render_page(paper_context(REAL_SIZES), folder), encoding="utf-8")
    return target


def pairs(folder: Path) -> Path:
    write_workspace(folder, synthetic_data.PROBLEMS, samples=1)
    for module in ("stages.pair", "stages.select", "stages.viewer pairs"):
        command = [sys.executable, "-m", *module.split()]
        env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        subprocess.run(command, cwd=folder, env=env, check=True)
    return folder / "report" / "pairs" / "index.html"


def report_usable(page: Any) -> None:
    page.locator("h2").last.scroll_into_view_if_needed()
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def pairs_usable(page: Any) -> None:
    page.locator("#items li").first.wait_for()


def seconds_to_use(path: Path, usable: Callable[[Any], None]) -> float:
    """Return the seconds in a fresh browser profile."""
    with open_page("about:blank") as (page, errors):
        start = time.perf_counter()
        page.goto(path.as_uri())
        usable(page)
        seconds = time.perf_counter() - start
        assert errors == []
    return seconds


def main() -> None:
    results.argument_parser(__doc__).parse_args()
    with (
        tempfile.TemporaryDirectory() as report_folder,
        tempfile.TemporaryDirectory() as pairs_folder,
    ):
        report_page = report(Path(report_folder))
        gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
        pages = {
            "report": (report_page, report_usable),
            "pairs": (pairs(Path(pairs_folder)), pairs_usable),
        }
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
        "page_load",
        "make bench NAME=page_load",
        f"{synthetic_data.PROBLEMS:,} pairs of traces of {synthetic_data.CHARACTERS:,} "
        f"characters.\n\n{results.table(head, table)}\n\n"
        f"The longest: **{longest:.2f} s** (target: less than {LIMIT_S}). The process that wrote "
        f"the report took at most **{gib:.2f} GiB** (target: less than {TARGET_GIB}).",
    )


if __name__ == "__main__":
    main()
