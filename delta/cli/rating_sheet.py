"""Draw rated traces and write a sheet that people fill in, sheets/sheet-SEED.csv, and its key."""

import argparse
from functools import partial
from pathlib import Path

import polars as pl

from delta.analysis import rating_sheet
from delta.cli.command_line import number
from delta.core import params, paths, tables
from delta.core.console import Console
from delta.core.errors import InputError
from delta.core.files import write_text
from delta.core.schemas import PROBLEM, RATING, TRACE

# Not under report/, which stage `report` replaces: a completed sheet is a person's work.
SHEETS = Path("sheets")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("number", type=partial(number, least=1), help="traces to draw")
    parser.add_argument("seed", type=number)


def log_name(options: argparse.Namespace) -> str:
    return f"rating-sheet-{options.number}-{options.seed}"


def main(console: Console, options: argparse.Namespace) -> None:
    seed = options.seed
    path, key_path = SHEETS / f"sheet-{seed}.csv", SHEETS / f"sheet-{seed}-key.csv"
    if path.exists() or key_path.exists():
        raise InputError(f"{path}: this sheet exists; choose another seed or move it")
    names = list(params.get("generators"))
    rated = pl.concat(tables.read(paths.ratings(name), RATING, ["trace_id"]) for name in names)
    traces = pl.concat(tables.scan(paths.traces(name), TRACE) for name in names)
    candidates = traces.select("trace_id", "generator").collect()
    drawn = rating_sheet.draw_traces(
        candidates.join(rated.unique(), on="trace_id", how="semi"), options.number, seed
    )
    rows = (
        pl.DataFrame({"trace_id": drawn}, schema={"trace_id": pl.String})
        .join(traces.filter(pl.col("trace_id").is_in(drawn)).collect(), on="trace_id", how="left")
        .join(tables.read(paths.PROBLEMS, PROBLEM), on="problem_id", how="left")
    )
    by_id = {row["trace_id"]: row for row in rows.iter_rows(named=True)}
    lines, key = rating_sheet.sheet_and_key_rows([by_id[trace_id] for trace_id in drawn], seed)
    write_text(key_path, rating_sheet.to_csv(rating_sheet.KEY_COLUMNS, key))
    write_text(path, rating_sheet.to_csv(rating_sheet.COLUMNS, lines))
    console.print(
        f"rating-sheet: fill in {path} (1 to 5 or nothing); do not show {key_path} to the raters"
    )
