"""What 10⁷ and 10⁹ pairs would cost, and where today's design ends.

    make bench NAME=scale                    # with 10⁸ rows
    python -m bench.scale --rows 10000000    # a tenth of them
    python -m bench.scale --costs            # only the tables that need no measurement

They also write what they print between the markers of docs/scale.md. $TMPDIR takes the rows.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
import polars as pl

from bench import results, scale_costs, scale_ranking, scale_store
from delta.select import SelectorParams, select

DOCUMENT = Path(__file__).parents[1] / "docs/scale.md"
SIZES = (1_000_000, 10_000_000, 100_000_000)
GOAL = 1_000_000_000
A_FILE = 1_000_000  # rows
SHELVES = ((100_000, 400), (1_000_000, 400), (100_000, 20_000))  # keys, letters of a reply
SELECTOR = {"mode": "top", "by": "step_coherence", "seed": 6}
P = ParamSpec("P")
R = TypeVar("R")


def simulated(file: int, rows: int) -> pl.DataFrame:
    """Pairs with five votes a side, the chosen side's a little higher, and their delta."""
    random = np.random.default_rng(file)
    chosen = random.choice([1, 2, 3, 4, 5], (rows, 5), p=[0.05, 0.1, 0.2, 0.35, 0.3])
    rejected = random.choice([1, 2, 3, 4, 5], (rows, 5), p=[0.1, 0.2, 0.3, 0.25, 0.15])
    number = pl.Series("number", np.arange(file * A_FILE, file * A_FILE + rows))
    samples = random.integers(0, 8, (2, rows))
    ids = {
        name: pl.format("openr1-{}/{}/{}", number, pl.lit(generator), pl.Series(sample))
        for name, generator, sample in (
            ("chosen_id", "s1-32b", samples[0]),
            ("rejected_id", "s1-3b", samples[1]),
        )
    }
    return (
        pl.select(**ids, problem_id=pl.format("openr1-{}", number))
        .with_columns(pair_id=pl.format("{}>{}", "chosen_id", "rejected_id"))
        .with_columns(
            pl.Series("chosen_votes", chosen),
            pl.Series("rejected_votes", rejected),
            pl.Series("score", (chosen.sum(1) - rejected.sum(1)) / 5),
        )
    )


def wide(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same as the tables that `select` reads."""
    outcomes = {f"{side}_outcome": pl.lit("correct") for side in ("chosen", "rejected")}
    pairs = rows.select(
        "pair_id", "problem_id", "chosen_id", "rejected_id", **outcomes
    ).with_columns(length_difference=pl.int_range(pl.len()), recipe=pl.lit("strong > weak"))
    sides = [
        rows.select(
            trace_id=f"{side}_id",
            judge=pl.lit("simulated"),
            dimension=pl.lit("step_coherence"),
            votes=pl.col(f"{side}_votes").arr.to_list(),
            refused=pl.lit(0),
        )
        for side in ("chosen", "rejected")
    ]
    return pairs, pl.concat(sides)


class Ranked(NamedTuple):
    rows: int
    seconds: float
    peak: float  # bytes
    cut: scale_ranking.Cut


def kept(rows: int) -> int:
    """The paper's largest share: 5,000 of 16,500."""
    return rows * 5_000 // 16_500


def rank(folder: Path, rows: int) -> Ranked:
    """For a process of its own."""
    files = [folder / f"{file}.parquet" for file in range(rows // A_FILE)]
    start = time.perf_counter()
    cut = scale_ranking.top(files, kept(rows), 6, folder / f"top-{rows}.parquet")
    return Ranked(rows, time.perf_counter() - start, scale_store.peak_bytes(), cut)


def in_memory() -> tuple[float, float, set[str]]:
    """`select` itself on the first file: seconds, peak bytes, and the pairs. Also on its own."""
    pairs, ratings = wide(simulated(0, A_FILE))
    params = SelectorParams.model_validate(SELECTOR | {"k": kept(A_FILE)})
    start = time.perf_counter()
    table, _ = select(params, pairs, ratings)
    seconds = time.perf_counter() - start
    return seconds, scale_store.peak_bytes(), set(table.filter("selected")["pair_id"])


def apart(function: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
    """In a fresh process, whose peak memory is its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(function, *given, **named).result()


def ranking(folder: Path, sizes: list[int]) -> str:
    seconds, peak, expected = apart(in_memory)
    runs = []
    for size in sizes:
        for file in range(size // A_FILE):
            path = folder / f"{file}.parquet"
            if not path.exists():
                simulated(file, A_FILE).select("pair_id", "score").write_parquet(path)
        runs.append(apart(rank, folder, size))
        if size == A_FILE:
            found = pl.read_parquet(folder / f"top-{size}.parquet")["pair_id"]
            assert found.len() == kept(size)
            assert set(found) == expected, "the two passes take other pairs than select"
    rows = [_ranked_row(run, before) for run, before in zip(runs, [None, *runs], strict=False)]
    rows.insert(0, ["`select`, in memory", f"{A_FILE:,}", f"{seconds:.1f}", _mib(peak), "", ""])
    rows.append(_extrapolated(runs))
    head = ["way", "pairs", "seconds", "peak MiB", "tied at the cut", "seconds × for rows ×"]
    size = sum(file.stat().st_size for file in folder.glob("[0-9]*.parquet"))
    return (
        f"{results.table(head, rows)}\n\nAt {A_FILE:,} pairs both take the same "
        f"{kept(A_FILE):,}, checked before anything was timed. A pair is "
        f"{size / sizes[-1]:.1f} bytes of Parquet."
    )


def _ranked_row(run: Ranked, before: Ranked | None) -> list[str]:
    grown = ""
    if before is not None:
        grown = f"{run.seconds / before.seconds:.1f} for {run.rows / before.rows:.0f}"
    cells = ["two passes", f"{run.rows:,}", f"{run.seconds:.1f}", _mib(run.peak)]
    return [*cells, f"{run.cut.tied:,}", grown]


def _extrapolated(runs: list[Ranked]) -> list[str]:
    """Seconds as rows to a power, over the last step; memory is that of the doubted pairs."""
    first, last = runs[-2:]
    power = np.log(last.seconds / first.seconds) / np.log(last.rows / first.rows)
    seconds = last.seconds * (GOAL / last.rows) ** power
    cells = ["two passes, extrapolated", f"{GOAL:,}", f"{seconds:,.0f} ({seconds / 3600:.1f} h)"]
    return [*cells, f"{_mib(last.peak)} and more", "", f"rows to the power {power:.2f}"]


def _mib(size: float) -> str:
    return f"{size / 2**20:,.0f}"


def store(folder: Path) -> str:
    opened = []
    for number, (keys, letters) in enumerate(SHELVES):
        shelf = folder / f"shelf-{number}"
        scale_store.fill(shelf, keys, letters)
        opened.append(apart(scale_store.opened, shelf))
    traces = opened[-1]
    seconds = scale_store.dvc_add(next(shelf.glob("*.log")))
    rate = traces.gigabytes / seconds
    head = ["replies × letters", "GB", "seconds to open", "bytes of memory a key"]
    rows = [
        [f"{one.keys:,} × {letters:,}", *map(_short, (one.gigabytes, one.seconds, one.index))]
        for one, (_, letters) in zip(opened, SHELVES, strict=True)
    ]
    head_there = ["pairs", "keys", "GB of memory", "TB of log", "to open it", "`dvc add` of it"]
    there = [_shelf_row(pairs, opened[1].index, traces, rate) for pairs in scale_costs.PAIRS]
    return (
        f"{results.table(head, rows)}\n\n`dvc add` of a file of {traces.gigabytes:.1f} GB: "
        f"{seconds:.1f} s, {rate * 1000:.0f} MB/s (hashed, then copied into the cache).\n\n"
        "One generator's shelf of eight traces a pair, by these figures:\n\n"
        f"{results.table(head_there, there)}"
    )


def _shelf_row(pairs: int, index: float, traces: scale_store.Opened, rate: float) -> list[str]:
    keys = 8 * pairs
    gigabytes = keys * traces.gigabytes / traces.keys
    hours = [gigabytes * traces.seconds / traces.gigabytes / 3600, gigabytes / rate / 3600]
    cells = [f"{pairs:,}", f"{keys:,}", f"{keys * index / 1e9:,.2f}", f"{gigabytes / 1000:,.3f}"]
    return [*cells, *(f"{one:,.2f} h" for one in hours)]


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def into_document(name: str, text: str) -> None:
    """In the place of what stands between the markers of that name."""
    content = DOCUMENT.read_text(encoding="utf-8")
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    assert content.count(begin) == content.count(end) == 1, name
    before, _, rest = content.partition(begin)
    after = rest.partition(end)[2]
    DOCUMENT.write_text(f"{before}{begin}{text}\n{end}{after}", encoding="utf-8")


def costs() -> dict[str, str]:
    """The tables that need no measurement, by their marker."""
    return {
        "paper": scale_costs.printed(scale_costs.paper),
        "lean": scale_costs.printed(scale_costs.lean),
        "published": scale_costs.against_published(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--costs", action="store_true", help="measure nothing")
    parser.add_argument("--rows", type=int, choices=SIZES[1:], default=SIZES[-1])
    given = parser.parse_args()
    parts = costs()
    if not given.costs:
        with tempfile.TemporaryDirectory() as folder:
            parts["store"] = store(Path(folder))
            parts["ranking"] = ranking(Path(folder), [size for size in SIZES if size <= given.rows])
        results.record("scale", "make bench NAME=scale", "\n\n".join(parts.values()))
    else:
        print("\n\n".join(parts.values()))
    for name, text in parts.items():
        into_document(name, text)


if __name__ == "__main__":
    main()
