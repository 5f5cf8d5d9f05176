"""Toy traces and verdicts by problem, and the pairs of them."""

from typing import Any

import polars as pl

from delta.core.schemas import TRACE, VERDICT
from delta.core.tables import frame_of
from delta.pairing.pair import PairingParams, pair

PROBLEMS = pl.DataFrame({"problem_id": ["p.0", "p.1", "p.2", "p.3"]})
OUTCOMES = {"c": "correct", "i": "incorrect", "u": "ungradable", "n": "no_gold"}


def pairing(**changes: Any) -> PairingParams:
    """Return parameters that pair any trace of "strong" with any of "weak", but for `changes`."""
    plain: dict[str, Any] = {
        "chosen": "strong",
        "rejected": "weak",
        "chosen_outcome": "any",
        "rejected_outcome": "any",
        "require_complete": "none",
        "use_table_pairs": True,
        "trace_order": "random",
        "per_problem": 1,
        "four_way": False,
        "problems": None,
        "seed": 5,
    }
    return PairingParams(**plain | changes)


def by_outcome(**changes: Any) -> PairingParams:
    """Return parameters that pair correct traces of "r1" with its incorrect ones."""
    plain = {"chosen": "r1", "rejected": "r1", "trace_order": "sequential"}
    outcomes = {"chosen_outcome": "correct", "rejected_outcome": "incorrect"}
    return pairing(**plain | outcomes | changes)


TracesAndVerdicts = tuple[pl.LazyFrame, pl.DataFrame]


def toy_traces(generator: str, samples: dict[str, list[str]]) -> TracesAndVerdicts:
    """Return the traces of problem → samples; "c four" is correct, "i- fo" incorrect and cut."""
    traces, verdicts = [], []
    for problem, specs in samples.items():
        for sample, (kind, _, text) in enumerate(spec.partition(" ") for spec in specs):
            name = f"{problem}/{generator}/{sample}"
            cut = kind.endswith("-")
            traces.append(
                {
                    "trace_id": name,
                    "problem_id": problem,
                    "generator": generator,
                    "sample": sample,
                    "text": text,
                    "answer_start": None if cut else 0,
                    "finish_reason": "length" if cut else "stop",
                }
            )
            verdicts.append({"trace_id": name, "outcome": OUTCOMES[kind[0]]})
    return frame_of(traces, TRACE).lazy(), frame_of(verdicts, VERDICT)


def four_samples(generator: str) -> TracesAndVerdicts:
    names = PROBLEMS["problem_id"].to_list()
    return toy_traces(generator, {p: [f"c {generator} {p} {n}" for n in range(4)] for p in names})


def make_pairs(
    params: PairingParams, *sides: TracesAndVerdicts
) -> tuple[pl.DataFrame, dict[str, Any]]:
    chosen, rejected = sides if len(sides) == 2 else (sides[0], sides[0])
    verdicts = pl.concat([verdicts for _, verdicts in sides])
    return pair(params, PROBLEMS, chosen[0], rejected[0], verdicts)


def ids(pairs: pl.DataFrame) -> list[tuple[str, str]]:
    return pairs.select("chosen_id", "rejected_id").rows()


def four_way(chosen: str, rejected: str, **changes: Any) -> PairingParams:
    outcomes = {"chosen_outcome": chosen, "rejected_outcome": rejected}
    return by_outcome(**outcomes, chosen="n4b", rejected="n4b", four_way=True, **changes)
