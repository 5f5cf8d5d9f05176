"""Rank the pairs by their deltas and select some of them.

Writes all pairs to data/selected.parquet, and the ids of those that train to
data/training_pairs.parquet.
"""

import polars as pl

from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.files import write_counts
from delta.core.schemas import PAIR, RATING, SELECTED, SIDES, TRAINING_PAIR
from delta.core.types import Counts
from delta.pairing.select import SelectorParams, select, training_pairs


def main(console: Console) -> None:
    selector = params.load_section("selector", SelectorParams)
    names = dict.fromkeys(params.get(f"pairing.{side}") for side in SIDES)
    pairs = tables.read(paths.PAIRS, PAIR)
    ratings = pl.concat(tables.read(paths.ratings(name), RATING) for name in names)
    selected, counts = select(selector, pairs, ratings)
    tables.write(paths.SELECTED, selected, SELECTED)
    tables.write(paths.TRAINING_PAIRS, training_pairs(selected), TRAINING_PAIR)
    write_counts(paths.counts("select"), counts, "select")
    console.finish(describe(selector, counts))


def describe(selector: SelectorParams, counts: Counts) -> str:
    """Return the line that a person waits for."""
    text = f"{counts['selected']} of {counts['pairs']} pairs, {selector.mode} by {selector.by}"
    if (mean := counts["mean_delta_selected"]) is not None:
        text += f", mean delta {mean:.2f}"
    if selector.mode in ("top", "bottom"):
        tied, num_selected = counts["tied_at_cut"], counts["tied_and_selected"]
        text += f"; {tied} tie at the cut, {num_selected} of them are in"
    if selector.quantile is not None:
        lowest, highest = (counts["quantile"][f"{end}_delta"] for end in ("lowest", "highest"))
        number, of = selector.quantile.number, selector.quantile.of
        text += f"; quantile {number} of {of}, deltas {lowest:.2f} to {highest:.2f}"
    if selector.mode == "length_matched":
        text += f"; KS distance of the lengths {counts['matching']['ks_distance']}"
    return text


if __name__ == "__main__":
    run(main)
