"""Pair traces of the same problem and write the pairs to data/pairs.parquet."""

import polars as pl

from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.files import write_counts
from delta.core.schemas import PAIR, PROBLEM, TRACE, VERDICT
from delta.pairing.pair import PairingParams, pair


def main(console: Console) -> None:
    pairing = params.load_section("pairing", PairingParams)
    problems = tables.read(paths.PROBLEMS, PROBLEM)
    names = list(dict.fromkeys([pairing.chosen, pairing.rejected]))  # may be the same generator
    traces = {name: tables.scan(paths.traces(name), TRACE) for name in names}
    verdicts = pl.concat(tables.read(paths.verdicts(name), VERDICT) for name in names)
    with tables.wrap_read_errors(*map(paths.traces, names)):
        pairs, counts = pair(
            pairing, problems, traces[pairing.chosen], traces[pairing.rejected], verdicts
        )
    tables.write(paths.PAIRS, pairs, PAIR)
    write_counts(paths.counts("pair"), counts, "pair")
    reasons = [f"{number} without ({reason})" for reason, number in counts["dropped"].items()]
    of = f"{counts['with_pairs']} of {counts['problems']} problems"
    console.finish(", ".join([f"{counts['pairs']} pairs, {counts['recipe']}, from {of}", *reasons]))


if __name__ == "__main__":
    run(main)
