"""select: delta per dimension, rank, cut → data/selected.parquet"""

import polars as pl

from delta import outputs, params, tables
from delta.console import Console, run
from delta.records import PAIR, RATING, SELECTED
from delta.select import SelectorParams, select


def main(console: Console, _argv: list[str]) -> None:
    selector = params.section("selector", SelectorParams)
    sides = [params.value(f"pairing.{side}") for side in ("chosen", "rejected")]
    pairs = tables.read(outputs.PAIRS, PAIR)
    ratings = pl.concat(tables.read(outputs.ratings(name), RATING) for name in sides)
    selected, counts = select(selector, pairs, ratings)
    tables.write(outputs.SELECTED, selected, SELECTED)
    outputs.write_counts(outputs.METRICS / "select.json", counts, "select")
    console.say(
        f"select: {counts['selected']} of {counts['pairs']} pairs by {selector.dimension}; "
        f"{counts['tied_at_cut']} tie at the cut, {counts['tied_and_selected']} of them are in"
    )


if __name__ == "__main__":
    run(main)
