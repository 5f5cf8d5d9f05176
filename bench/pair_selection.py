"""Measure the seconds of pairing, selecting and resampling votes against pandas and datasets.

    make bench NAME=pair_selection    # 15 minutes, and 10 GiB of the temporary folder

The tables are synthetic and of the paper's size: 16,500 problems, two traces each, five dimensions,
five votes, 1,000 resamplings. Our side, pandas and datasets read the same files and must get the
same pairs, the same top-k set in each dimension and the same overlaps. The fraction of a set that
is selected again when votes are resampled agrees up to sampling error. The peers resample fewer
times, because 1,000 times would take them an hour: their seconds are those of the rest plus 1,000
times those of one resampling. Then our side runs alone at 100 times the size.
"""

import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bench import results
from bench.pair_selection_peers import SIDES, TIES, DatasetsPairs, PairSets, PandasPairs
from delta.analysis import topk_sets
from delta.analysis.votes import gather_votes
from delta.core import tables
from delta.core.schemas import PROBLEM, RATING, TRACE, VERDICT
from delta.judging.rubric import DIMENSIONS
from delta.pairing.pair import PairingParams, pair
from delta.pairing.select import SelectorParams, add_deltas, select_by_delta

PROBLEMS, RESAMPLES = 16_500, 1_000
CUTS = (1_000, 2_500, 5_000)  # of 16,500; the selections take the last
LARGE = 100
CHARACTERS, FEWER_CHARACTERS = 8_000, 3_000  # of a trace, on average; the latter where LARGE
TURNS, PANDAS_RESAMPLES, DATASETS_RESAMPLES = 3, 20, 2
DRAWS = 14  # seed of the drawn votes
VOTES = [name for name in RATING.columns if name not in ("justification", "deductions")]
AT_ONCE = 50_000  # traces in memory while the tables are written


class Alone(NamedTuple):
    """Measurement of our side in a process of its own."""

    seconds: float
    gib: float
    rows: list[dict[str, Any]]  # of topk_sets.stability_rows


def main() -> None:
    parser = results.argument_parser(__doc__)
    alone = ("FOLDER", "SIZES", "RESAMPLES")
    parser.add_argument("--alone", nargs=3, metavar=alone, help="measure ours on existing tables")
    if arguments := parser.parse_args().alone:
        folder, sizes, resamples = arguments
        print(json.dumps(run_alone(Path(folder), json.loads(sizes), int(resamples))))
        return
    datasets.disable_progress_bars()
    datasets.disable_caching()
    with tempfile.TemporaryDirectory() as folder:
        small = against_others(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        characters = write_tables(Path(folder), LARGE * PROBLEMS, FEWER_CHARACTERS)
        large = measure_alone(Path(folder), [LARGE * k for k in CUTS], RESAMPLES)
    text = f"""{small}

{LARGE} times the size, once, in another process ({LARGE * PROBLEMS:,} problems, {RESAMPLES:,}
resamplings; {characters / 2**30:.1f} GiB of text,
traces of {FEWER_CHARACTERS:,} characters on average):
{large.seconds:.1f} s, at most {large.gib:.2f} GiB of memory."""
    results.record("pair_selection", "make bench NAME=pair_selection", text)


def against_others(folder: Path) -> str:
    write_tables(folder, PROBLEMS, CHARACTERS)
    sizes = list(CUTS)
    alone = measure_alone(folder, sizes, RESAMPLES)
    agree(folder, sizes, alone.rows)
    frame, rows = PandasPairs.read(folder, sizes[-1]), DatasetsPairs.read(folder, sizes[-1])
    ways = {
        "ours": lambda: ours(folder, sizes, RESAMPLES),
        "pandas": lambda: PandasPairs.read(folder, sizes[-1]).pair_sets(sizes),
        "pandas, draws": lambda: frame.resample(sizes, PANDAS_RESAMPLES),
        "datasets": lambda: DatasetsPairs.read(folder, sizes[-1]).pair_sets(sizes),
        "datasets, draws": lambda: rows.resample(sizes, DATASETS_RESAMPLES),
    }
    seconds = results.in_turns(ways, TURNS)
    lines = [["ours", f"{statistics.median(seconds['ours']):.2f}", "", RESAMPLES, ""]]
    for name, resamples in (("pandas", PANDAS_RESAMPLES), ("datasets", DATASETS_RESAMPLES)):
        resampling = [second * RESAMPLES / resamples for second in seconds[f"{name}, draws"]]
        whole = [sum(pair) for pair in zip(seconds[name], resampling, strict=True)]
        ratio = results.ratio(whole, seconds["ours"])
        parts = f"{statistics.median(seconds[name]):.2f} + {statistics.median(resampling):.0f}"
        lines.append([name, f"{statistics.median(whole):.0f}", parts, resamples, str(ratio)])
    head = ["", "seconds", "without + with resampling", "resamplings timed", "× ours [turns]"]
    return f"""{PROBLEMS:,} problems; cuts at {", ".join(map(str, sizes))}; {RESAMPLES:,}
resamplings of the votes in each of {len(DIMENSIONS)} dimensions and their mean. Pairs, sets and
overlaps are equal; the fractions selected again agree up to sampling error. Ours alone:
{alone.seconds:.2f} s, at most {alone.gib:.2f} GiB of memory (imports are in the memory, not in the
seconds).

{results.table(head, lines)}"""


def measure_alone(folder: Path, sizes: list[int], resamples: int) -> Alone:
    arguments = [str(folder), str(sizes), str(resamples)]
    command = [sys.executable, "-m", "bench.pair_selection", "--alone", *arguments]
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Alone(*json.loads(process.stdout))


def run_alone(folder: Path, sizes: list[int], resamples: int) -> Alone:
    start = time.perf_counter()
    _, rows = ours(folder, sizes, resamples)
    seconds = time.perf_counter() - start
    return Alone(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, rows)


def agree(folder: Path, sizes: list[int], rows: list[dict[str, Any]]) -> None:
    """Assert, before anything is timed, that all three get the same results."""
    expected, _ = ours(folder, sizes, 2)
    for others in (PandasPairs.read(folder, sizes[-1]), DatasetsPairs.read(folder, sizes[-1])):
        result = others.pair_sets(sizes)
        assert result.pairs == expected.pairs
        assert result.selected == expected.selected
        assert result.overlaps.keys() == expected.overlaps.keys()
        for key, value in expected.overlaps.items():
            assert abs(result.overlaps[key] - value) < 1e-4  # percent; ours are rounded
        resamples = PANDAS_RESAMPLES if isinstance(others, PandasPairs) else DATASETS_RESAMPLES
        stability = others.resample(sizes, resamples)
        for row in rows:
            spread = (row["stability_high"] - row["stability_low"]) / 3.92
            difference = abs(stability[row["dimension"], row["k"]] - row["stability"])
            assert difference <= 5 * spread / math.sqrt(resamples), (type(others), row, difference)


# --- tables ---


def write_tables(folder: Path, problems: int, characters: int) -> int:
    """Write tables as the stages do; return the total number of characters of the traces.

    One weak trace in 1,000 equals the strong one, and equal texts are no pair.
    """
    chance = np.random.default_rng(0)
    letters = chance.choice(list("etaoinshrdlu     "), 2_000_000)
    text = "".join(letters.tolist())
    ids = [f"p{number}" for number in range(problems)]
    rows = {"problem_id": ids, "statement": "x", "prompt": "x", "history": [[]] * problems}
    rows |= {"gold_answer": "1", "source": "s", "domain": "d", "metadata": "{}"}
    problem_table = pl.DataFrame(rows, schema=dict(PROBLEM.columns))
    problem_table.write_parquet(folder / "problems.parquet")
    total = 0
    for weak, side in enumerate(SIDES):
        total += write_traces(folder / f"traces_{side}.parquet", ids, side, text, characters)
        traces = [f"{problem_id}/{side}/0" for problem_id in ids]
        outcome = chance.choice(["correct", "incorrect"], problems)
        verdicts = {"trace_id": traces, "outcome": outcome, "extracted": "1", "reason": None}
        pl.DataFrame(
            verdicts | {"decided_by": "grader"}, schema=dict(VERDICT.columns)
        ).write_parquet(folder / f"verdicts_{side}.parquet")
        write_ratings(folder / f"ratings_{side}.parquet", traces, 3.6 - 0.5 * weak, chance)
    return total


def write_traces(path: Path, ids: list[str], side: str, text: str, characters: int) -> int:
    """Write traces of log-normal length, 1,000 to 25,000 characters, cut from one text."""
    chance = np.random.default_rng(1)  # the same for both sides but for the weak one's shift
    writer, total = None, 0
    for begin in range(0, len(ids), AT_ONCE):
        batch_ids = ids[begin : begin + AT_ONCE]
        length = np.clip(chance.lognormal(math.log(characters), 0.6, len(batch_ids)), 1_000, 25_000)
        length = (length * 0.8353).astype(np.int64)  # exp(-0.6² / 2): the mean is `characters`
        start = chance.integers(0, len(text) - 50_000, len(batch_ids))
        if side == "weak":
            start += np.where(np.arange(begin, begin + len(batch_ids)) % 1_000 == 0, 0, 25_000)
        total += int(length.sum())
        rows = {
            "trace_id": [f"{problem_id}/{side}/0" for problem_id in batch_ids],
            "problem_id": batch_ids,
            "generator": side,
            "sample": 0,
            "text": [text[a : a + n] for a, n in zip(start.tolist(), length.tolist(), strict=True)],
            "reasoning_start": 0,
            "reasoning_end": length // 2,
            "answer_start": length // 2,
            "finish_reason": "stop",
            "prompt_tokens": 10,
            "completion_tokens": length // 4,
            "recorded_outcome": None,
            "source_row": None,
        }
        table: pa.Table = pl.DataFrame(rows, schema=dict(TRACE.columns)).to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=tables.TEXT_ROWS)
    assert writer is not None
    writer.close()
    return total


def write_ratings(
    path: Path, traces: list[str], middle: float, chance: np.random.Generator
) -> None:
    quality = chance.normal(middle, 0.8, (len(traces), 1))
    frames = []
    for dimension in DIMENSIONS:
        own = quality + chance.normal(0, 0.4, quality.shape)
        votes = np.clip(np.rint(own + chance.normal(0, 0.6, (len(traces), 5))), 1, 5)
        rows: dict[str, Any] = {
            "trace_id": traces,
            "judge": "j",
            "dimension": dimension,
            "votes": pl.Series(votes.astype(np.int64)).arr.to_list(),
            "refused": 0,
            "justification": "Each step follows.",
            "deductions": None,
        }
        frames.append(pl.DataFrame(rows, schema=dict(RATING.columns)))
    pl.concat(frames).write_parquet(path)


# --- ours ---


def ours(folder: Path, sizes: list[int], resamples: int) -> tuple[PairSets, list[dict[str, Any]]]:
    """Return the result of the stages' functions, and a row for each cut."""
    pairing = PairingParams(
        chosen="strong",
        rejected="weak",
        chosen_outcome="any",
        rejected_outcome="any",
        require_complete="none",
        use_table_pairs=True,
        trace_order="random",
        per_problem=1,
        four_way=False,
        problems=None,
        seed=5,
    )
    files = {side: folder / f"traces_{side}.parquet" for side in SIDES}
    problems = tables.read(folder / "problems.parquet", PROBLEM)
    verdicts = pl.concat(
        tables.read(folder / f"verdicts_{side}.parquet", VERDICT) for side in SIDES
    )
    strong, weak = (tables.scan(path, TRACE) for path in files.values())
    pairs, _ = pair(pairing, problems, strong, weak, verdicts)
    ratings = pl.concat(
        tables.read(folder / f"ratings_{side}.parquet", RATING, VOTES) for side in SIDES
    )
    selected, with_deltas = {}, add_deltas(pairs, ratings)
    for dimension in DIMENSIONS:
        params = SelectorParams(mode="top", by=dimension, k=sizes[-1], quantile=None, seed=TIES)
        table, _ = select_by_delta(params, with_deltas, ratings)
        selected[dimension] = table.filter("selected")["pair_id"].to_list()
    ids = ["trace_id", "problem_id", "generator"]
    traces = pl.concat(tables.read(path, TRACE, ids) for path in files.values())
    ranked = topk_sets.rank_pairs(table, TIES)
    overlaps = {
        f"{row['k']} {row['dimension']} {row['other']}": row["overlap"]
        for row in topk_sets.overlap_rows(ranked, sizes)
    }
    votes = gather_votes(traces, verdicts, ratings)
    sets = PairSets(sorted(pairs["pair_id"]), selected, overlaps)
    return sets, topk_sets.stability_rows(ranked, votes, sizes, resamples, DRAWS)


if __name__ == "__main__":
    main()
