"""Write the pairs as a web page: report/pairs/index.html."""

import argparse

import polars as pl

from delta.core import params, paths, tables
from delta.core.console import Console
from delta.core.schemas import PROBLEM, RATING, SELECTED, SIDES, TRACE, VERDICT
from delta.pairing.select import SelectorParams
from delta.report import pair_viewer

FOLDER = paths.REPORT / "pairs"


def log_name(_options: argparse.Namespace) -> str:
    return "view-pairs"


def main(console: Console, _options: argparse.Namespace) -> None:
    selector = params.load_section("selector", SelectorParams)
    chosen, rejected = (params.get(f"pairing.{side}") for side in SIDES)
    names = list(dict.fromkeys([chosen, rejected]))  # may be the same generator
    selected = tables.read(paths.SELECTED, SELECTED)
    problems = tables.read(paths.PROBLEMS, PROBLEM)
    traces = [tables.scan(paths.traces(name), TRACE) for name in names]
    verdicts = pl.concat(tables.read(paths.verdicts(name), VERDICT) for name in names)
    ratings = pl.concat(tables.read(paths.ratings(name), RATING) for name in names)
    recipe = selected["recipe"][0]
    run_summary = pair_viewer.RunSummary(recipe, chosen, rejected, selector.mode, selector.by)
    counts = pair_viewer.write(FOLDER, run_summary, selected, problems, traces, verdicts, ratings)
    console.print(
        f"view-pairs: {counts['pairs']} pairs, {counts['selected']} of them selected, "
        f"{counts['bytes'] / 2**20:.1f} MiB in {counts['files']} files; "
        f"open {FOLDER / 'index.html'} in a browser"
    )
