"""The pair viewer at the paper's size. Run as a module to measure build time, memory and speed."""

import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from delta.core import tables
from delta.core.schemas import PROBLEM, RATING, SELECTED, TRACE, VERDICT
from delta.core.tables import frame_of
from delta.core.types import Counts
from delta.judging.rubric import DIMENSIONS
from delta.report import pair_viewer
from tests.helpers.browser import open_page

SIDES = {"strong": "chosen", "weak": "rejected"}
WORDS = [
    "let",
    "us",
    "then",
    "number",
    "so",
    "that",
    "value",
    "where",
    "equation",
    "because",
    "sum",
    "hence",
    "ratio",
    "check",
]
FORMULAS = (
    r"\(x^2 + y^2 = z^2\)",
    r"\[ \frac{a}{b} = \sqrt{c} \]",
    r"$\sum_{i=1}^{n} i$",
    r"\boxed{12}",
)


def prose(source: random.Random, characters: int) -> str:
    parts: list[str] = []
    length = 0
    while length < characters:
        if source.random() < 0.05:
            part = source.choice(FORMULAS)
        elif source.random() < 0.3:
            part = str(source.randrange(10**6))
        else:
            part = source.choice(WORDS)
        parts.append(part)
        length += len(part) + 1
    return " ".join(parts)


def simulate(folder: Path, pairs: int, characters: int) -> None:
    """Write the tables of a run with so many pairs, with one trace per generator and problem."""
    source = random.Random(1)
    problems = [
        {
            "problem_id": f"p.{number}",
            "statement": prose(source, 300),
            "history": [],
            "gold_answer": "12",
            "source": "simulated",
            "domain": "d",
            "metadata": "{}",
        }
        for number in range(pairs)
    ]
    tables.write(folder / "problems.parquet", frame_of(problems, PROBLEM), PROBLEM)
    for name in SIDES:
        write_traces(folder / f"{name}.parquet", source, name, pairs, characters)
    ids = [f"p.{number}/{name}/0" for name in SIDES for number in range(pairs)]
    verdicts = [
        {"trace_id": trace_id, "outcome": "correct", "extracted": "12", "decided_by": "grader"}
        for trace_id in ids
    ]
    tables.write(folder / "verdicts.parquet", frame_of(verdicts, VERDICT), VERDICT)
    ratings = pl.concat(frame_of(rows, RATING) for rows in rating_batches(source, ids))
    tables.write(folder / "ratings.parquet", ratings, RATING)
    selected = [pair_row(number, source) for number in range(pairs)]
    deltas = {f"delta_{name}": pl.Float64 for name in DIMENSIONS}
    schema = {**SELECTED.columns, **deltas, "score": pl.Float64}
    tables.write(folder / "selected.parquet", pl.DataFrame(selected, schema=schema), SELECTED)


def write_traces(path: Path, source: random.Random, name: str, pairs: int, characters: int) -> None:
    """In batches; text for text different, as a shared beginning of 1 in 50."""
    schema = frame_of([], TRACE).to_arrow().schema
    stock = [prose(source, characters) for _ in range(50)]
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for start in range(0, pairs, 500):
            numbers = range(start, min(pairs, start + 500))
            texts = [shuffled(source, stock[number % 50]) for number in numbers]
            rows = [
                {
                    "trace_id": f"p.{number}/{name}/0",
                    "problem_id": f"p.{number}",
                    "generator": name,
                    "sample": 0,
                    "text": text,
                    "reasoning_start": 0,
                    "reasoning_end": len(text) - 100,
                    "answer_start": len(text) - 100,
                    "finish_reason": "stop",
                    "completion_tokens": characters // 3,
                }
                for number, text in zip(numbers, texts, strict=True)
            ]
            file.write_table(frame_of(rows, TRACE).to_arrow().cast(schema))


def shuffled(source: random.Random, text: str) -> str:
    words = text.split(" ")
    source.shuffle(words)
    return " ".join(words)


def rating_batches(source: random.Random, ids: list[str]) -> Iterator[list[dict[str, object]]]:
    for start in range(0, len(ids), 1000):
        yield [
            {
                "trace_id": trace_id,
                "judge": "simulated",
                "dimension": dimension,
                "votes": [source.randint(1, 5) for _ in range(5)],
                "refused": 0,
                "justification": prose(source, 120),
                "deductions": ["unjustified leaps"],
            }
            for trace_id in ids[start : start + 1000]
            for dimension in DIMENSIONS
        ]


def pair_row(number: int, source: random.Random) -> dict[str, object]:
    ids = {side: f"p.{number}/{name}/0" for name, side in SIDES.items()}
    deltas = {f"delta_{name}": round(source.uniform(-4, 4), 1) for name in DIMENSIONS}
    return {
        "pair_id": f"{ids['chosen']}>{ids['rejected']}",
        "problem_id": f"p.{number}",
        "chosen_id": ids["chosen"],
        "rejected_id": ids["rejected"],
        "chosen_outcome": "correct",
        "rejected_outcome": "correct",
        "length_difference": 0,
        "recipe": "strong > weak",
        "rank": number + 1,
        "selected": True,
        "why": "selected",
        **deltas,
        "score": deltas["delta_factuality"],
    }


def build(folder: Path) -> Counts:
    frames = {
        name: tables.read(folder / f"{name}.parquet", table)
        for name, table in (
            ("selected", SELECTED),
            ("problems", PROBLEM),
            ("verdicts", VERDICT),
            ("ratings", RATING),
        )
    }
    traces = [tables.scan(folder / f"{name}.parquet", TRACE) for name in SIDES]
    run = pair_viewer.RunSummary("strong > weak", "strong", "weak", "all", "factuality")
    return pair_viewer.write(folder / "pairs", run, traces=traces, **frames)


def measure_seconds(folder: Path) -> dict[str, float]:
    """Measure in Chromium the time to the first list, a pair, the next pair, and of a search."""
    times: dict[str, float] = {}
    before = time.perf_counter()
    with open_page(folder / "pairs" / "index.html") as (page, errors):
        started = time.perf_counter()
        page.locator("#pairs li").first.wait_for()
        now = time.perf_counter()
        times |= {"browser_start": started - before, "first_list": now - started}
        times["open_pair"] = seconds_until_pair(page, page.locator("#pairs li a").first.click)
        times["next_pair"] = seconds_until_pair(page, lambda: page.keyboard.press("j"))
        page.keyboard.press("Escape")
        now = time.perf_counter()
        page.get_by_label("Search statements and ids").fill("p.777")
        page.locator("#count", has_text="pairs").wait_for()
        times["search"] = time.perf_counter() - now
        assert errors == []
    return {name: round(seconds, 2) for name, seconds in times.items()}


def seconds_until_pair(page: Any, act: Callable[[], object]) -> float:
    """Return the seconds from `act` until another pair is on the screen."""
    old = page.title()
    started = time.perf_counter()
    act()
    while page.title() == old:
        page.wait_for_timeout(5)
    page.locator(".trace").last.wait_for()
    return time.perf_counter() - started


@pytest.mark.slow
def test_list_and_pair_open_in_seconds_with_16_500_pairs(tmp_path: Path) -> None:
    simulate(tmp_path, pairs=16_500, characters=600)
    counts = build(tmp_path)
    assert (counts["pairs"], counts["traces"]) == (16_500, 33_000)
    seconds = measure_seconds(tmp_path)
    assert seconds["first_list"] < 10  # 1 s where nothing else runs
    assert seconds["open_pair"] < 5
    assert seconds["search"] < 5


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder, pairs=16_500, characters=30_000)
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        counts = build(folder)
        sys.stdout.write(f"build: {time.perf_counter() - started:.0f} s, {counts}\n")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sys.stdout.write(f"memory: {peak / 2**20:.2f} GiB ({base / 2**20:.2f} before the build)\n")
        sys.stdout.write(f"in Chromium, seconds: {measure_seconds(folder)}\n")


if __name__ == "__main__":
    main()
