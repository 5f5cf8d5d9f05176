"""Chosen/rejected pairs from two generators, one trace each of the same problem (section 4.1)."""

from collections import Counter
from typing import Annotated, Any, Self

import polars as pl
from pydantic import Field, model_validator

from delta.errors import InputError
from delta.order import draw_order
from delta.params import Section
from delta.records import PAIR
from delta.tables import frame_of

Counts = dict[str, Any]


class PairingParams(Section):
    chosen: str  # a name in `generators`
    rejected: str  # another one
    per_problem: Annotated[int, Field(ge=1)]  # pairs a problem
    seed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _two_generators(self) -> Self:
        if self.chosen == self.rejected:
            raise ValueError(
                f"chosen and rejected are both {self.chosen!r}; allowed: two different generators"
            )
        return self


def pair(
    params: PairingParams, problems: pl.DataFrame, chosen: pl.DataFrame, rejected: pl.DataFrame
) -> tuple[pl.DataFrame, Counts]:
    """Pair rows, and counts: problems × per_problem = pairs + dropped by reason.

    Each side's traces are put in a seeded order of their own and drawn without replacement.
    Raises InputError where no pair comes about.
    """
    sides = [_by_problem(params.seed, traces) for traces in (chosen, rejected)]
    recipe = f"generators {params.chosen} > {params.rejected}"
    rows, dropped = [], Counter[str]()
    for problem_id in problems["problem_id"]:
        better, worse = (side.get(problem_id, []) for side in sides)
        for turn in range(params.per_problem):
            if turn >= len(better) or turn >= len(worse):
                side = params.chosen if turn >= len(better) else params.rejected
                dropped[f"no trace of {side}"] += 1
                continue
            (chosen_id, chosen_text), (rejected_id, rejected_text) = better[turn], worse[turn]
            if chosen_text == rejected_text:
                dropped["equal texts"] += 1
                continue
            rows.append(
                {
                    "pair_id": f"{chosen_id}>{rejected_id}",
                    "problem_id": problem_id,
                    "chosen_id": chosen_id,
                    "rejected_id": rejected_id,
                    "recipe": recipe,
                }
            )
    wanted = problems.height * params.per_problem
    if not rows:
        raise InputError(f"pairing: none of {wanted} pairs came about ({dict(dropped)})")
    return frame_of(rows, PAIR), {"wanted": wanted, "pairs": len(rows), "dropped": dict(dropped)}


def _by_problem(seed: int, traces: pl.DataFrame) -> dict[str, list[tuple[str, str]]]:
    drawn: dict[str, list[tuple[str, str]]] = {}
    for problem_id, trace_id, text in traces.select("problem_id", "trace_id", "text").iter_rows():
        drawn.setdefault(problem_id, []).append((trace_id, text))
    for traces_of_one in drawn.values():
        traces_of_one.sort(key=lambda trace: draw_order(seed, trace[0]))
    return drawn
