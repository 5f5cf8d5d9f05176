"""Sample-level deltas of pairs, their ranking, the cut, and controls for it (section 4.3)."""

import math
from typing import Annotated, Any, Literal, Self

import polars as pl
from pydantic import Field, field_validator, model_validator

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.schemas import SELECTED
from delta.core.shuffle import shuffle_keys
from delta.core.types import Counts
from delta.judging.rubric import DIMENSIONS
from delta.pairing import length_matching, score_formula

MEAN = "mean"  # a name in selector.by: of all rated dimensions


class SelectorParams(StrictModel):
    # top, bottom: largest or smallest score first; random and length_matched: controls of top.
    mode: Literal["top", "bottom", "random", "length_matched", "all"]
    by: str  # the score: a dimension, "mean", or a formula of them
    k: Annotated[int, Field(ge=1)] | None  # pairs to keep; null exactly where mode is all
    seed: Annotated[int, Field(ge=0)]  # orders pairs of equal score, and draws

    @field_validator("by")
    @classmethod
    def _is_a_formula(cls, by: str) -> str:
        score_formula.column(by, {name: pl.col(name) for name in (*DIMENSIONS, MEAN)})
        return by

    @model_validator(mode="after")
    def _k_where_it_cuts(self) -> Self:
        if (self.k is None) != (self.mode == "all"):
            raise ValueError(
                f"k is {self.k} and mode {self.mode!r}; allowed: null with all, else a number"
            )
        return self


def deltas(pairs: pl.DataFrame, ratings: pl.DataFrame) -> pl.DataFrame:
    """`pairs` with a column delta_<dimension> for every rated dimension, in points of 1–5.

    A delta is mean(votes on chosen) − mean(votes on rejected). It is null where one side has no
    vote: a refused rating is not a low one. Raises InputError where several judges voted.
    """
    judges = sorted(ratings["judge"].unique())
    if len(judges) > 1:
        raise InputError(f"ratings by the judges {', '.join(judges)}; allowed: those of one judge")
    means = ratings.select("trace_id", "dimension", mean=pl.col("votes").list.mean()).pivot(
        on="dimension", index="trace_id", values="mean", sort_columns=True
    )
    dimensions = [column for column in means.columns if column != "trace_id"]
    chosen = means.rename({"trace_id": "chosen_id"})
    rejected = means.rename(
        {"trace_id": "rejected_id"} | {name: f"{name}_rejected" for name in dimensions}
    )
    return (
        pairs.join(chosen, on="chosen_id", how="left", maintain_order="left")
        .join(rejected, on="rejected_id", how="left", maintain_order="left")
        .with_columns(
            (pl.col(name) - pl.col(f"{name}_rejected")).round(6).alias(f"delta_{name}")
            for name in dimensions
        )
        .select(*pairs.columns, *[f"delta_{name}" for name in dimensions])
    )


def select(
    params: SelectorParams, pairs: pl.DataFrame, ratings: pl.DataFrame
) -> tuple[pl.DataFrame, Counts]:
    """All pairs with deltas, score, rank and why each is in or out; and counts.

    Means of votes lie on a grid, so the cut goes through ties: equal scores are ordered by a
    seeded hash of the pair's id. Only pairs with a score are taken, by random too, or it would be
    no fair control of top; the exceptions are `all`, and random where nothing was rated.
    """
    return select_from(params, deltas(pairs, ratings), ratings)


def select_from(
    params: SelectorParams, with_deltas: pl.DataFrame, ratings: pl.DataFrame
) -> tuple[pl.DataFrame, Counts]:
    """`select` of what `deltas` gives, for several selections of the same pairs."""
    scored = _with_score(params, with_deltas)
    needs_score = params.mode != "all" and not (params.mode == "random" and ratings.is_empty())
    ranked = _ranked(params, scored, needs_score)
    candidates = ranked["rank"].count()
    there = f"of {ranked.height} pairs have a delta in {params.by}" if needs_score else "pairs"
    _enough(params, candidates, there)
    table = _cut(params, ranked)
    counts = _counts(params, table)
    counts["candidates"] = candidates
    counts["candidates_are"] = "pairs with a delta" if needs_score else "all pairs"
    counts["with_refused_votes"] = _with_refused_votes(table, ratings)
    return table.select(*SELECTED.columns, pl.col("^delta_.*$"), "score"), counts


def _with_score(params: SelectorParams, scored: pl.DataFrame) -> pl.DataFrame:
    names = [name for name in scored.columns if name.startswith("delta_")]
    if not names:
        return scored.with_columns(score=pl.lit(None, dtype=pl.Float64))
    columns = {name.removeprefix("delta_"): pl.col(name) for name in names}
    columns[MEAN] = pl.sum_horizontal(names, ignore_nulls=False) / len(names)
    try:
        score = score_formula.column(params.by, columns)
    except InputError as error:
        raise InputError(f"selector.by = {params.by!r}: not rated: {error}") from None
    return scored.with_columns(score=score.round(6) + 0.0)  # no −0.0


def _ranked(params: SelectorParams, scored: pl.DataFrame, needs_score: bool) -> pl.DataFrame:
    """In the order in which the mode takes pairs; the rank of a pair it cannot take is null."""
    at_random = params.mode == "random"
    # Were the random draw also the order of ties, random and top would share too many pairs.
    names = ("random",) if at_random else ()
    drawn = shuffle_keys(params.seed, *names, each=scored["pair_id"])
    return (
        scored.with_columns(
            drawn.alias("_draw"),
            _out=pl.col("score").is_null() if needs_score else pl.lit(value=False),
            _by=pl.lit(0.0) if at_random else pl.col("score"),
        )
        .sort(
            "_out",
            "_by",
            "_draw",
            descending=[False, params.mode != "bottom", False],
            nulls_last=True,
        )
        .with_row_index("rank", offset=1)
        .with_columns(rank=pl.when(~pl.col("_out")).then(pl.col("rank").cast(pl.Int64)))
        .drop("_out", "_by")
    )


def _enough(params: SelectorParams, candidates: int, there: str) -> None:
    groups = 2 if params.mode == "length_matched" else 1  # the reference, and its control
    if params.k is not None and groups * params.k > candidates:
        twice = ", and length_matched takes 2 × k" if groups == 2 else ""
        raise InputError(
            f"selector.k = {params.k}: only {candidates} {there}{twice}; "
            f"allowed: 1 to {candidates // groups}"
        )


def _cut(params: SelectorParams, ranked: pl.DataFrame) -> pl.DataFrame:
    """Columns `selected` and `why`."""
    within = pl.col("rank").le(params.k or ranked.height).fill_null(value=False)
    if params.mode == "length_matched":
        inside = pl.col("pair_id").is_in(_matched(ranked, params.k or 0).implode())
        outside = pl.when(within).then(pl.lit("reference")).otherwise(pl.lit("not matched"))
    else:
        inside = within
        outside = pl.lit("not drawn" if params.mode == "random" else "below the cut")
    return ranked.with_columns(selected=inside).with_columns(
        why=pl.when("selected")
        .then(pl.lit("selected"))
        .when(pl.col("rank").is_null())
        .then(pl.lit("no delta"))
        .otherwise(outside)
    )


def _matched(ranked: pl.DataFrame, k: int) -> pl.Series:
    """Ids of the k pairs outside the first k whose length differences are the nearest to theirs."""
    reference = ranked.filter(pl.col("rank") <= k)["length_difference"].to_list()
    others = ranked.filter(pl.col("rank") > k).sort("length_difference", "_draw")
    places = length_matching.nearest(reference, others["length_difference"].to_list())
    return others["pair_id"].gather(places)


def _counts(params: SelectorParams, table: pl.DataFrame) -> Counts:
    chosen = table.filter("selected")
    has_cut = params.mode in ("top", "bottom", "length_matched")
    cut = table.filter(pl.col("rank") == params.k)["score"].item() if has_cut else None
    tied = table.filter(pl.col("score").eq(cut)) if has_cut else table.clear()
    means = {
        name.removeprefix("delta_"): _rounded(table[name].mean())
        for name in table.columns
        if name.startswith("delta_")
    }
    counts = {
        "pairs": table.height,
        "without_delta": table["score"].null_count(),
        "selected": chosen.height,
        "delta_at_cut": cut,
        "tied_at_cut": tied.height if has_cut else None,
        "tied_and_selected": tied["selected"].sum() if has_cut else None,
        "mean_delta": means,
        "mean_delta_selected": _rounded(chosen["score"].mean()),
        "outcomes_selected": _shares(chosen),
    }
    counts |= _length_counts(table, chosen)
    if params.mode == "length_matched":
        reference = table.filter(pl.col("rank") <= params.k)["length_difference"]
        counts["matching"] = {
            "ks_distance": length_matching.ks_distance(reference, chosen["length_difference"]),
            "mean_length_difference_reference": _rounded(reference.mean()),
        }
    return counts


def _length_counts(table: pl.DataFrame, chosen: pl.DataFrame) -> Counts:
    """Does the score only measure which side is longer?"""
    known = table.drop_nulls("score")
    correlations = {
        method: _rounded(known.select(pl.corr("score", "length_difference", method=method)).item())
        for method in ("pearson", "spearman")
    }
    return {
        "mean_length_difference": _rounded(table["length_difference"].mean()),
        "mean_length_difference_selected": _rounded(chosen["length_difference"].mean()),
        "correlation_with_length_difference": correlations,
    }


def _shares(chosen: pl.DataFrame) -> dict[str, float]:
    combination = pl.concat_str("chosen_outcome", pl.lit(">"), "rejected_outcome")
    counted = chosen.group_by(combination.alias("name")).len().sort("name")
    return {name: round(number / chosen.height, 4) for name, number in counted.iter_rows()}


def _with_refused_votes(table: pl.DataFrame, ratings: pl.DataFrame) -> int:
    fewer = ratings.filter(pl.col("refused") > 0)["trace_id"].unique().implode()
    touched = pl.col("chosen_id").is_in(fewer) | pl.col("rejected_id").is_in(fewer)
    return table.filter(touched).height


def _rounded(value: Any) -> float | None:
    """NaN is what Polars calls a correlation of fewer than two values, or of equal ones."""
    return None if value is None or math.isnan(value) else round(value, 4)
