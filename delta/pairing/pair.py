"""Pair two traces of a problem, by generator or by outcome (paper, section 4).

If both generators are columns of the same user table, its rows are used as the pairs.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Annotated, Literal, NamedTuple, Self

import polars as pl
from pydantic import Field, model_validator

from delta.core.errors import InputError
from delta.core.files import round4
from delta.core.params import StrictModel
from delta.core.schemas import NO_GOLD, PAIR, SIDES
from delta.core.shuffle import shuffle_key
from delta.core.types import Counts
from delta.judging.budget import Budget, is_sufficient
from delta.judging.trace_order import (
    RequireComplete,
    TraceOrder,
    build_pool,
    eligible_traces,
    first_n_per_problem,
    replace_repeated_texts,
)

Outcome = Literal["any", "correct", "incorrect"]
Pools = dict[str, pl.DataFrame]  # generator → build_pool of its traces


class PairingParams(StrictModel):
    """The section `pairing` of params.yaml."""

    chosen: str  # a name in `generators`
    rejected: str  # may be the same if the outcomes differ
    chosen_outcome: Outcome
    rejected_outcome: Outcome
    require_complete: RequireComplete  # sides that must have an answer and not be cut
    # If rows of a user's table have traces of both generators, exactly these are the pairs.
    use_table_pairs: bool
    trace_order: TraceOrder  # which of a problem's traces are paired first
    per_problem: Annotated[int, Field(ge=1)]  # pairs per problem, unless a table has them
    four_way: bool  # only problems that give all four combinations of correctness
    problems: Annotated[int, Field(ge=1)] | None  # how many, at random; null: all
    seed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _two_different_traces(self) -> Self:
        outcomes = {self.chosen_outcome, self.rejected_outcome}
        is_one_generator = self.chosen == self.rejected
        if is_one_generator and not self.four_way and outcomes != {"correct", "incorrect"}:
            raise ValueError(
                f"chosen and rejected are both {self.chosen!r}; expected two different "
                "generators, or the outcomes correct and incorrect, one each, or four_way"
            )
        rules = {
            "one generator as chosen and rejected": is_one_generator,
            "outcomes correct or incorrect": "any" not in outcomes,
            "per_problem 1": self.per_problem == 1,
            "require_complete none or both": self.require_complete != "chosen",
        }
        broken = [rule for rule, is_met in rules.items() if not is_met]
        if self.four_way and broken:
            raise ValueError(f"four_way is true; expected then {', '.join(broken)}")
        return self


class _PairSide(NamedTuple):
    """The traces that may be on one side of a pair."""

    generator: str
    outcome: str
    must_be_complete: bool
    skip: int  # 1 if the other side takes the first such trace

    def missing(self, ordinal: str) -> str:
        """Return the reason for a pair without this side."""
        complete = "complete" if self.must_be_complete else ""
        outcome = "" if self.outcome == "any" else self.outcome
        words = ("no", ordinal, complete, outcome, "trace of", self.generator)
        return " ".join(word for word in words if word)


def required_ratings(params: PairingParams) -> dict[str, Budget]:
    """Return each generator's judge budget with which every sampled pair gets a delta."""
    numbers = {
        name: {"any": 0, "correct": 0, "incorrect": 0} for name in (params.chosen, params.rejected)
    }
    for side in _sides(params):
        numbers[side.generator][side.outcome] = params.per_problem + side.skip
    return {name: Budget.model_validate(by_outcome) for name, by_outcome in numbers.items()}


def insufficient_budgets(
    params: PairingParams,
    mode: str,
    budgets: Mapping[str, Budget],
    traces: Mapping[str, int | None],
    is_table: bool,
) -> Iterator[str]:
    """Yield budgets of the judge that leave traces of pairs without ratings that are needed.

    Those of ranked pairs are (`mode`: selector.mode), and those of `four_way`, because Figure 3
    shows the mean delta of each of its sets. `traces` is the number of traces a problem, None where
    a recording decides it; `is_table`: the pairs are the rows of a user's table.
    """
    if mode == "all" and not params.four_way:
        return
    why = f"selector.mode is {mode!r}"
    if params.four_way:
        why = "pairing.four_way is true: figure 3 shows the deltas of all its pairs"
    for name, drawn in required_ratings(params).items():
        need = drawn.model_copy(update={"any": None}) if is_table else drawn
        if not is_sufficient(budgets[name], need, traces[name]):
            yield (
                f"judge.budget.{name} = {budgets[name].model_dump()}: pairing needs ratings of "
                f"{need.model_dump()} where {why}; expected that and more"
                f"{' (any: null is all)' * is_table}{', or mode all' * (not params.four_way)}"
            )


def pair(
    params: PairingParams,
    problems: pl.DataFrame,
    chosen: pl.LazyFrame,
    rejected: pl.LazyFrame,
    verdicts: pl.DataFrame,
) -> tuple[pl.DataFrame, Counts]:
    """Return the pair table, and counts: problems = with_pairs + dropped by reason.

    A problem's traces are paired in order and without replacement; equal texts of a generator count
    as one trace. A pair whose sides have equal texts is dropped and not replaced. All pairs of a
    table are used, whatever the number per problem. Ungradable traces, and those without a gold
    answer, are neither correct nor incorrect. Raises InputError if there is no pair, or if too few
    problems have a pair.
    """
    pools = {
        name: build_pool(traces, verdicts, params.seed, params.trace_order)
        for name, traces in {params.chosen: chosen, params.rejected: rejected}.items()
    }
    from_table = _table_pairs(params, problems, pools)
    if params.four_way:
        candidates = _four_way(params, problems, pools)
    elif from_table is not None:
        candidates = _sample_problems(params, from_table)
    else:
        candidates = _candidates(params, problems, pools, _sides(params))
        candidates = _sample_problems(params, candidates)
    recipe = _recipe(params, from_table is not None)
    pairs = (
        candidates.filter(pl.col("reason").is_null())
        .with_columns(
            pair_id=pl.concat_str("chosen_id", pl.lit(">"), "rejected_id"),
            length_difference=pl.col("chosen_length") - pl.col("rejected_length"),
            recipe=pl.lit(recipe),
        )
        .select(*PAIR.columns)
    )
    return pairs, {"recipe": recipe} | _counts(params, candidates, pairs, pools)


def _sides(params: PairingParams) -> tuple[_PairSide, _PairSide]:
    chosen, rejected = params.chosen_outcome, params.rejected_outcome
    share_traces = params.four_way and chosen == rejected
    return (
        _PairSide(params.chosen, chosen, params.require_complete != "none", 0),
        _PairSide(params.rejected, rejected, params.require_complete == "both", int(share_traces)),
    )


def _recipe(params: PairingParams, from_table: bool) -> str:
    sides = [f"{side.generator} {side.outcome}".removesuffix(" any") for side in _sides(params)]
    return " > ".join(sides) + ", four-way" * params.four_way + ", as given" * from_table


def _side_columns(name: str) -> list[pl.Expr]:
    columns = {"trace_id": "id", "outcome": "outcome", "length": "length", "text_hash": "hash"}
    return [pl.col(column).alias(f"{name}_{new}") for column, new in columns.items()]


def _table_pairs(
    params: PairingParams, problems: pl.DataFrame, pools: Pools
) -> pl.DataFrame | None:
    """Return the pairs of a user's table, with `reason` for dropped ones.

    None if there are none, or if use_table_pairs is false.
    """
    if not params.use_table_pairs or params.chosen == params.rejected:
        return None
    sides = [
        replace_repeated_texts(pools[side.generator]).select(
            "problem_id",
            "source_row",
            *_side_columns(name),
            _unfit_reason(name, side).alias(f"{name}_unfit"),
        )
        for name, side in zip(SIDES, _sides(params), strict=True)
    ]
    rows = sides[0].join(sides[1], on=["problem_id", "source_row"])  # null joins no row
    if rows.is_empty():
        return None
    is_repeated = pl.struct("chosen_id", "rejected_id").is_first_distinct().not_()
    candidates = problems.select("problem_id").join(
        rows.sort("source_row"), on="problem_id", how="left", maintain_order="left_right"
    )
    reasons: list[pl.Expr | str] = [
        pl.when(pl.col("source_row").is_null()).then(pl.lit("no row with both traces")),
        *(f"{name}_unfit" for name in SIDES),
        pl.when(_equal_texts()).then(pl.lit("equal texts")),
        pl.when(is_repeated).then(pl.lit("the same pair again")),
    ]
    return candidates.with_columns(reason=pl.coalesce(*reasons))


def _unfit_reason(name: str, side: _PairSide) -> pl.Expr:
    """Return the reason why a trace may not be on this side; null if it may."""
    is_other = pl.lit(side.outcome != "any") & (pl.col("outcome").cast(pl.String) != side.outcome)
    is_cut = pl.lit(side.must_be_complete) & ~pl.col("is_complete")
    return (
        pl.when(is_other)
        .then(pl.lit(f"{name} not {side.outcome}"))
        .when(is_cut)
        .then(pl.lit(f"{name} not complete"))
    )


def _equal_texts() -> pl.Expr:
    return pl.all_horizontal(
        pl.col(f"chosen_{column}") == pl.col(f"rejected_{column}") for column in ("hash", "length")
    )


def _candidates(
    params: PairingParams, problems: pl.DataFrame, pools: Pools, sides: tuple[_PairSide, _PairSide]
) -> pl.DataFrame:
    """Return `per_problem` rows per problem: both traces, or the `reason` for no pair."""
    places = pl.DataFrame({"place": range(params.per_problem)}, schema={"place": pl.Int64})
    candidates = problems.select("problem_id").join(places, how="cross", maintain_order="left")
    reasons: list[pl.Expr] = []
    for name, side in zip(SIDES, sides, strict=True):
        traces = first_n_per_problem(
            pools[side.generator],
            side.outcome,
            side.must_be_complete,
            params.per_problem + side.skip,
        ).select("problem_id", pl.col("place") - side.skip, *_side_columns(name))
        candidates = candidates.join(
            traces, on=["problem_id", "place"], how="left", maintain_order="left"
        )
        is_first = pl.col("place") + side.skip == 0
        reason = (
            pl.when(is_first)
            .then(pl.lit(side.missing("")))
            .otherwise(pl.lit(side.missing("further")))
        )
        reasons.append(pl.when(pl.col(f"{name}_id").is_null()).then(reason))
    reasons.append(pl.when(_equal_texts()).then(pl.lit("equal texts")))
    return candidates.with_columns(reason=pl.coalesce(*reasons))


def _four_way(params: PairingParams, problems: pl.DataFrame, pools: Pools) -> pl.DataFrame:
    """Return the candidates of the requested combination, on problems that have all four.

    The reasons are those of all four combinations, so that each samples the same problems.
    """
    candidates = {}
    for outcomes in product(("correct", "incorrect"), repeat=2):
        combination = dict(zip(("chosen_outcome", "rejected_outcome"), outcomes, strict=True))
        sides = _sides(params.model_copy(update=combination))
        candidates[outcomes] = _candidates(params, problems, pools, sides)
    reason = pl.select(pl.coalesce(*(rows["reason"] for rows in candidates.values()))).to_series()
    requested = candidates[params.chosen_outcome, params.rejected_outcome]
    return _sample_problems(params, requested.with_columns(reason=reason))


def _sample_problems(params: PairingParams, candidates: pl.DataFrame) -> pl.DataFrame:
    """Keep `pairing.problems` problems, chosen at random by seed.

    Raises InputError if there are fewer.
    """
    paired = candidates.filter(pl.col("reason").is_null())["problem_id"].unique()
    total = candidates["problem_id"].n_unique()
    of_total = f"of {total} problems gave a pair ({_count_reasons(candidates)})"
    if paired.is_empty():
        raise InputError(f"pairing: none {of_total}")
    if params.problems is None:
        return candidates
    if paired.len() < params.problems:
        raise InputError(
            f"pairing.problems = {params.problems}: only {paired.len()} {of_total}; "
            f"expected 1 to {paired.len()}, or null"
        )
    shuffled = sorted(paired, key=lambda problem_id: shuffle_key(params.seed, problem_id))
    beyond = pl.Series(shuffled[params.problems :], dtype=pl.String)
    return candidates.with_columns(
        reason=pl.when(pl.col("problem_id").is_in(beyond.implode()))
        .then(pl.lit("not sampled"))
        .otherwise("reason")
    )


def _counts(
    params: PairingParams, candidates: pl.DataFrame, pairs: pl.DataFrame, pools: Pools
) -> Counts:
    """Return counts: problems = with_pairs + dropped.

    Unless the pairs are from a table, with_pairs x per_problem = pairs + pairs_dropped.
    """
    is_lost = pl.col("reason").is_not_null().all().over("problem_id")
    lost = candidates.filter(is_lost).unique("problem_id", keep="first", maintain_order=True)
    outcomes = pairs.select(pl.concat_str("chosen_outcome", pl.lit(">"), "rejected_outcome"))
    return {
        "problems": candidates["problem_id"].n_unique(),
        "with_pairs": pairs["problem_id"].n_unique(),
        "dropped": _count_reasons(lost),
        "pairs": pairs.height,
        "pairs_dropped": _count_reasons(candidates.filter(~is_lost)),
        "outcomes": _value_counts(outcomes.to_series()),
        "mean_length_difference": round4(pairs["length_difference"].mean()),  # type: ignore[arg-type]
        **{
            name: _trace_counts(pools[side.generator], side)
            for name, side in zip(SIDES, _sides(params), strict=True)
        },
    }


def _trace_counts(pool: pl.DataFrame, side: _PairSide) -> Counts:
    return {
        "traces": pool.height,
        "incomplete": pool.height - pool["is_complete"].sum(),
        "ungradable": pool.filter(pl.col("outcome") == "ungradable").height,
        NO_GOLD: pool.filter(pl.col("outcome") == NO_GOLD).height,
        "eligible": eligible_traces(pool, side.outcome, side.must_be_complete).height,
    }


def _count_reasons(candidates: pl.DataFrame) -> dict[str, int]:
    return _value_counts(candidates["reason"].drop_nulls())


def _value_counts(values: pl.Series) -> dict[str, int]:
    return dict(values.alias("value").value_counts().sort("value").iter_rows())
