"""Chosen/rejected pairs: two traces of one problem, by generator or by outcome (section 4).

Where both generators are columns of one table of a user's, its rows are pairs already, and these
are the pairs unless others are asked for.
"""

from itertools import product
from typing import Annotated, Literal, NamedTuple, Self

import polars as pl
from pydantic import Field, model_validator

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.schemas import NO_GOLD, PAIR, SIDES
from delta.core.shuffle import shuffle_key
from delta.core.types import Counts
from delta.judging.budget import (
    Budget,
    Complete,
    Draw,
    draw_pool,
    eligible,
    first_n_per_problem,
    first_of_equals,
)

Outcome = Literal["any", "correct", "incorrect"]
Pools = dict[str, pl.DataFrame]  # generator → its rows of `drawable`


class PairingParams(StrictModel):
    chosen: str  # a name in `generators`
    rejected: str  # may be the same, where the outcomes differ
    chosen_outcome: Outcome
    rejected_outcome: Outcome
    complete: Complete  # sides that must have stopped by themselves and given an answer
    # given: where a row of a user's table holds a trace of either generator, these two are a pair,
    # and no others are made. drawn: always as draw and per_problem say.
    pairs: Literal["given", "drawn"] = "given"
    draw: Draw  # which of a problem's traces come first
    per_problem: Annotated[int, Field(ge=1)]  # drawn pairs a problem
    four_way: bool  # problems of which all four correctness combinations can be made
    problems: Annotated[int, Field(ge=1)] | None  # how many, at random; null: all
    seed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _two_different_traces(self) -> Self:
        outcomes = {self.chosen_outcome, self.rejected_outcome}
        same = self.chosen == self.rejected
        if same and not self.four_way and outcomes != {"correct", "incorrect"}:
            raise ValueError(
                f"chosen and rejected are both {self.chosen!r}; allowed: two different "
                "generators, or the outcomes correct and incorrect, one each, or four_way"
            )
        rules = {
            "one generator as chosen and rejected": same,
            "outcomes correct or incorrect": "any" not in outcomes,
            "per_problem 1": self.per_problem == 1,
            "complete any or both (a trace stands on either side)": self.complete != "chosen",
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if self.four_way and broken:
            raise ValueError(f"four_way is true; allowed then: {', '.join(broken)}")
        return self


class _Side(NamedTuple):
    """Which traces may stand on one side of a pair."""

    generator: str
    outcome: str
    finished: bool
    skip: int  # 1 where the other side holds the first such trace

    def missing(self, ordinal: str) -> str:
        words = ["no", ordinal, "finished" * self.finished, self.outcome, "trace of"]
        return " ".join(word for word in [*words, self.generator] if word not in ("", "any"))


def required_ratings(params: PairingParams) -> dict[str, Budget]:
    """For each generator how many ratings a problem give every drawn pair a delta."""
    numbers = {
        name: dict.fromkeys(("any", "correct", "incorrect"), 0)
        for name in (params.chosen, params.rejected)
    }
    for side in _sides(params):
        numbers[side.generator][side.outcome] = params.per_problem + side.skip
    return {
        name: Budget(drawn=of["any"], correct=of["correct"], incorrect=of["incorrect"])
        for name, of in numbers.items()
    }


def pair(
    params: PairingParams,
    problems: pl.DataFrame,
    chosen: pl.LazyFrame,
    rejected: pl.LazyFrame,
    verdicts: pl.DataFrame,
) -> tuple[pl.DataFrame, Counts]:
    """Pair rows, and counts: problems = problems with pairs + dropped by reason.

    A problem's traces are put in draw order and drawn without replacement; a text that a generator
    gave twice is one trace. A pair whose generators gave equal texts is dropped, not redrawn.
    Pairs that a table gives are taken as they are, however many a problem has.
    Ungradable traces, and those without a gold answer, are neither correct nor incorrect.
    Raises InputError where no pair, or a pair of too few problems, comes about.
    """
    pools = {
        name: draw_pool(traces, verdicts, params.seed, params.draw)
        for name, traces in {params.chosen: chosen, params.rejected: rejected}.items()
    }
    given = _given(params, problems, pools)
    if params.four_way:
        places = _four_way(params, problems, pools)
    elif given is not None:
        places = _sampled(params, given)
    else:
        places = _sampled(params, _places(params, problems, pools, _sides(params)))
    pairs = (
        places.filter(pl.col("reason").is_null())
        .with_columns(
            pair_id=pl.concat_str("chosen_id", pl.lit(">"), "rejected_id"),
            length_difference=pl.col("chosen_length") - pl.col("rejected_length"),
            recipe=pl.lit(_recipe(params, given is not None)),
        )
        .select(*PAIR.columns)
    )
    return pairs, _counts(params, places, pairs, pools, given is not None)


def _sides(params: PairingParams) -> tuple[_Side, _Side]:
    chosen, rejected = params.chosen_outcome, params.rejected_outcome
    second = params.four_way and chosen == rejected
    return (
        _Side(params.chosen, chosen, params.complete != "any", 0),
        _Side(params.rejected, rejected, params.complete == "both", int(second)),
    )


def _recipe(params: PairingParams, given: bool) -> str:
    named = [f"{side.generator} {side.outcome}".removesuffix(" any") for side in _sides(params)]
    return " > ".join(named) + ", four-way" * params.four_way + ", as given" * given


def _given(params: PairingParams, problems: pl.DataFrame, pools: Pools) -> pl.DataFrame | None:
    """The places of the pairs that rows of a table hold; None where there are none, or other pairs
    are asked for. A pair that the table has twice is one."""
    if params.pairs == "drawn" or params.chosen == params.rejected:
        return None
    sides = [
        first_of_equals(pools[side.generator]).select(
            "problem_id",
            "source_row",
            pl.col("trace_id").alias(f"{name}_id"),
            pl.col("outcome").alias(f"{name}_outcome"),
            pl.col("length").alias(f"{name}_length"),
            pl.col("text_hash").alias(f"{name}_hash"),
            _unfit(name, side).alias(f"{name}_unfit"),
        )
        for name, side in zip(SIDES, _sides(params), strict=True)
    ]
    rows = sides[0].join(sides[1], on=["problem_id", "source_row"])  # null is no row
    if rows.is_empty():
        return None
    again = pl.struct("chosen_id", "rejected_id").is_first_distinct().not_()
    places = problems.select("problem_id").join(
        rows.sort("source_row"), on="problem_id", how="left", maintain_order="left_right"
    )
    reasons: list[pl.Expr | str] = [
        pl.when(pl.col("source_row").is_null()).then(pl.lit("no row with both traces")),
        *(f"{name}_unfit" for name in SIDES),
        pl.when(_equal_texts()).then(pl.lit("equal texts")),
        pl.when(again).then(pl.lit("the same pair again")),
    ]
    return places.with_columns(reason=pl.coalesce(*reasons))


def _unfit(name: str, side: _Side) -> pl.Expr:
    """Why a trace may not stand on this side; null where it may."""
    other = pl.lit(side.outcome != "any") & (pl.col("outcome").cast(pl.String) != side.outcome)
    cut = pl.lit(side.finished) & ~pl.col("finished")
    return (
        pl.when(other)
        .then(pl.lit(f"{name} not {side.outcome}"))
        .when(cut)
        .then(pl.lit(f"{name} not finished"))
    )


def _equal_texts() -> pl.Expr:
    return pl.all_horizontal(
        pl.col(f"chosen_{what}") == pl.col(f"rejected_{what}") for what in ("hash", "length")
    )


def _places(
    params: PairingParams, problems: pl.DataFrame, pools: Pools, sides: tuple[_Side, _Side]
) -> pl.DataFrame:
    """A row for each problem and turn: both traces, or in `reason` why there is no pair."""
    turns = pl.DataFrame({"turn": range(params.per_problem)}, schema={"turn": pl.Int64})
    places = problems.select("problem_id").join(turns, how="cross", maintain_order="left")
    for name, side in zip(SIDES, sides, strict=True):
        number = params.per_problem + side.skip
        drawn = first_n_per_problem(
            pools[side.generator], side.outcome, side.finished, number
        ).select(
            "problem_id",
            pl.col("turn") - side.skip,
            pl.col("trace_id").alias(f"{name}_id"),
            pl.col("outcome").alias(f"{name}_outcome"),
            pl.col("length").alias(f"{name}_length"),
            pl.col("text_hash").alias(f"{name}_hash"),
        )
        places = places.join(drawn, on=["problem_id", "turn"], how="left", maintain_order="left")
    lacking = [
        pl.when(pl.col(f"{name}_id").is_null()).then(
            pl.when(pl.col("turn") + side.skip == 0)
            .then(pl.lit(side.missing("")))
            .otherwise(pl.lit(side.missing("further")))
        )
        for name, side in zip(SIDES, sides, strict=True)
    ]
    return places.with_columns(
        reason=pl.coalesce(*lacking, pl.when(_equal_texts()).then(pl.lit("equal texts")))
    )


def _four_way(params: PairingParams, problems: pl.DataFrame, pools: Pools) -> pl.DataFrame:
    """The places of the wanted combination, on problems that give all four of them."""
    combinations = list(product(("correct", "incorrect"), repeat=2))
    whole = {
        (chosen, rejected): _places(
            params,
            problems,
            pools,
            _sides(
                params.model_copy(update={"chosen_outcome": chosen, "rejected_outcome": rejected})
            ),
        )
        for chosen, rejected in combinations
    }
    # A problem that falls out of one set falls out of all, before any are drawn.
    reason = pl.select(pl.coalesce(*(places["reason"] for places in whole.values()))).to_series()
    sets = {
        " > ".join(outcomes): _sampled(params, places.with_columns(reason=reason))
        for outcomes, places in whole.items()
    }
    _same_problems(sets)
    return sets[f"{params.chosen_outcome} > {params.rejected_outcome}"]


def _same_problems(sets: dict[str, pl.DataFrame]) -> None:
    """The four sets differ in correctness alone only where their problems are the same."""
    problems = {
        name: set(places.filter(pl.col("reason").is_null())["problem_id"])
        for name, places in sets.items()
    }
    shared = set.intersection(*problems.values())
    for name, own in problems.items():
        if own != shared:
            raise InputError(
                f"pairing.four_way: problem {min(own - shared)!r} is in the set {name} but not in "
                "all four; rebuild the traces and verdicts with `dvc repro`"
            )


def _sampled(params: PairingParams, places: pl.DataFrame) -> pl.DataFrame:
    """`places` with the problems beyond `pairing.problems` given up, at random by seed."""
    paired = places.filter(pl.col("reason").is_null())["problem_id"].unique()
    of_all = f"of {places['problem_id'].n_unique()} problems gave a pair ({_by_reason(places)})"
    if paired.is_empty():
        raise InputError(f"pairing: none {of_all}")
    if params.problems is None:
        return places
    if paired.len() < params.problems:
        raise InputError(
            f"pairing.problems = {params.problems}: only {paired.len()} {of_all}; "
            f"allowed: 1 to {paired.len()}, or null"
        )
    ordered = sorted(paired, key=lambda problem_id: shuffle_key(params.seed, problem_id))
    beyond = pl.Series(ordered[params.problems :], dtype=pl.String)
    return places.with_columns(
        reason=pl.when(pl.col("problem_id").is_in(beyond.implode()))
        .then(pl.lit("not sampled"))
        .otherwise("reason")
    )


def _counts(
    params: PairingParams, places: pl.DataFrame, pairs: pl.DataFrame, pools: Pools, given: bool
) -> Counts:
    """problems = with_pairs + dropped; with_pairs × per_problem = pairs + pairs_dropped, of drawn
    pairs."""
    is_lost = pl.col("reason").is_not_null().all().over("problem_id")
    lost = places.filter(is_lost).unique("problem_id", keep="first", maintain_order=True)
    combination = pairs.select(pl.concat_str("chosen_outcome", pl.lit(">"), "rejected_outcome"))
    mean = pairs["length_difference"].mean()
    return {
        "recipe": _recipe(params, given),
        "problems": places["problem_id"].n_unique(),
        "with_pairs": pairs["problem_id"].n_unique(),
        "dropped": _by_reason(lost),
        "pairs": pairs.height,
        "pairs_dropped": _by_reason(places.filter(~is_lost)),
        "outcomes": _tally(combination.to_series()),
        "mean_length_difference": round(mean, 2) if isinstance(mean, float) else None,
        **{
            name: _trace_counts(pools[side.generator], side)
            for name, side in zip(SIDES, _sides(params), strict=True)
        },
    }


def _trace_counts(rows: pl.DataFrame, side: _Side) -> Counts:
    return {
        "traces": rows.height,
        "unfinished": rows.height - rows["finished"].sum(),
        "ungradable": rows.filter(pl.col("outcome") == "ungradable").height,
        NO_GOLD: rows.filter(pl.col("outcome") == NO_GOLD).height,
        "qualifying": eligible(rows, side.outcome, side.finished).height,
    }


def _by_reason(places: pl.DataFrame) -> dict[str, int]:
    return _tally(places["reason"].drop_nulls())


def _tally(names: pl.Series) -> dict[str, int]:
    counted = names.alias("name").value_counts().sort("name")
    return dict(counted.iter_rows())
