"""pair: two traces of a problem, by generator or by outcome → data/pairs.parquet"""

import polars as pl

from delta import outputs, params, tables
from delta.console import Console, run
from delta.pair import PairingParams, pair
from delta.records import PAIR, PROBLEM, TRACE, VERDICT


def main(console: Console, _argv: list[str]) -> None:
    pairing = params.section("pairing", PairingParams)
    problems = tables.read(outputs.PROBLEMS, PROBLEM)
    names = list(dict.fromkeys([pairing.chosen, pairing.rejected]))  # may be the same generator
    traces = {name: tables.scan(outputs.traces(name), TRACE) for name in names}
    verdicts = pl.concat(tables.read(outputs.verdicts(name), VERDICT) for name in names)
    with tables.reading(*map(outputs.traces, names)):
        pairs, counts = pair(
            pairing, problems, traces[pairing.chosen], traces[pairing.rejected], verdicts
        )
    tables.write(outputs.PAIRS, pairs, PAIR)
    outputs.write_counts(outputs.METRICS / "pair.json", counts, "pair")
    console.say(
        f"pair: {counts['pairs']} pairs from {counts['with_pairs']} of {counts['problems']} "
        f"problems, {counts['recipe']}; dropped: {counts['dropped']}"
    )


if __name__ == "__main__":
    run(main)
