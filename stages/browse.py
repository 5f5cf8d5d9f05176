"""The selected pairs to look at: `python -m stages.browse` writes report/pairs/index.html."""

import polars as pl

from delta import browse, outputs, params, tables
from delta.console import Console, run
from delta.records import PROBLEM, RATING, SELECTED, TRACE, VERDICT
from delta.select import SelectorParams

FOLDER = outputs.REPORT / "pairs"


def main(console: Console, _argv: list[str]) -> None:
    selector = params.section("selector", SelectorParams)
    chosen, rejected = (params.value(f"pairing.{side}") for side in ("chosen", "rejected"))
    names = list(dict.fromkeys([chosen, rejected]))  # may be the same generator
    selected = tables.read(outputs.SELECTED, SELECTED)
    problems = tables.read(outputs.PROBLEMS, PROBLEM)
    traces = [tables.scan(outputs.traces(name), TRACE) for name in names]
    verdicts = pl.concat(tables.read(outputs.verdicts(name), VERDICT) for name in names)
    ratings = pl.concat(tables.read(outputs.ratings(name), RATING) for name in names)
    shown = browse.Run(selected["recipe"][0], chosen, rejected, selector.mode, selector.by)
    counts = browse.write(FOLDER, shown, selected, problems, traces, verdicts, ratings)
    console.say(
        f"browse: {counts['pairs']} pairs, {counts['selected']} of them selected, "
        f"{counts['bytes'] / 2**20:.1f} MiB in {counts['files']} files; "
        f"open {FOLDER / 'index.html'} in a browser"
    )


if __name__ == "__main__":
    run(main)
