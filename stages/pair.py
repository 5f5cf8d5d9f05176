"""pair: one trace of each of two generators, the same problem → data/pairs.parquet"""

from delta import outputs, params, tables
from delta.console import Console, run
from delta.pair import PairingParams, pair
from delta.records import PAIR, PROBLEM, TRACE


def main(console: Console, _argv: list[str]) -> None:
    pairing = params.section("pairing", PairingParams)
    problems = tables.read(outputs.PROBLEMS, PROBLEM)
    chosen = tables.read(outputs.traces(pairing.chosen), TRACE)
    rejected = tables.read(outputs.traces(pairing.rejected), TRACE)
    pairs, counts = pair(pairing, problems, chosen, rejected)
    tables.write(outputs.PAIRS, pairs, PAIR)
    outputs.write_counts(outputs.METRICS / "pair.json", counts, "pair")
    console.say(f"pair: {counts}")


if __name__ == "__main__":
    run(main)
