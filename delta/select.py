"""Sample-level deltas of pairs, their ranking by one dimension, and the cut (section 4.3)."""

from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field

from delta.errors import InputError
from delta.order import draw_order
from delta.params import Section
from delta.records import SELECTED

Counts = dict[str, Any]


class SelectorParams(Section):
    dimension: str  # one of delta.rubric.DIMENSIONS
    k: Annotated[int, Field(ge=1)]  # pairs to keep
    order: Literal["top", "bottom"]  # largest or smallest delta first
    seed: Annotated[int, Field(ge=0)]  # orders pairs of equal delta


def deltas(pairs: pl.DataFrame, ratings: pl.DataFrame) -> pl.DataFrame:
    """`pairs` with a column delta_<dimension> for every rated dimension, in points of 1–5.

    A delta is mean(votes on chosen) − mean(votes on rejected). It is null where one side has no
    vote: a refused rating is not a low one.
    """
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
    """All pairs with deltas, rank and why each is in or out; and counts.

    Means of votes lie on a grid, so the cut goes through ties: equal deltas are ordered by a
    seeded hash of the pair's id. Raises InputError where fewer than k pairs have a delta.
    """
    scored = deltas(pairs, ratings)
    column = f"delta_{params.dimension}"
    if column not in scored.columns:
        rated = [name.removeprefix("delta_") for name in scored.columns if name[:6] == "delta_"]
        raise InputError(
            f"selector.dimension = {params.dimension!r} was not rated; allowed: {', '.join(rated)}"
        )
    drawn = [draw_order(params.seed, pair_id) for pair_id in scored["pair_id"]]
    ranked = (
        scored.with_columns(pl.Series("_draw", drawn, dtype=pl.String))
        .sort(column, "_draw", descending=[params.order == "top", False], nulls_last=True)
        .drop("_draw")
        .with_row_index("rank", offset=1)
        .with_columns(
            pl.when(pl.col(column).is_not_null()).then(pl.col("rank")).cast(pl.Int64).alias("rank")
        )
        .with_columns(selected=pl.col("rank").le(params.k).fill_null(value=False))
        .with_columns(
            why=pl.when(pl.col(column).is_null())
            .then(pl.lit("no delta"))
            .when(pl.col("selected"))
            .then(pl.lit("selected"))
            .otherwise(pl.lit("below the cut"))
        )
    )
    with_delta = ranked["rank"].count()
    if params.k > with_delta:
        raise InputError(
            f"selector.k = {params.k}: only {with_delta} of {ranked.height} pairs have a delta in "
            f"{params.dimension}; allowed: 1 to {with_delta}"
        )
    counts = _counts(params, ranked, column)
    fewer = ratings.filter(pl.col("refused") > 0)["trace_id"].unique()
    counts["with_refused_votes"] = ranked.filter(
        pl.col("chosen_id").is_in(fewer.implode()) | pl.col("rejected_id").is_in(fewer.implode())
    ).height
    columns = list(SELECTED.columns)
    rest = [name for name in ranked.columns if name not in columns]
    return ranked.select(*columns, *rest), counts


def _counts(params: SelectorParams, ranked: pl.DataFrame, column: str) -> Counts:
    cut = ranked[column][params.k - 1]
    tied = ranked.filter(pl.col(column) == cut)
    means = {
        name.removeprefix("delta_"): _rounded(ranked[name].mean())
        for name in ranked.columns
        if name.startswith("delta_")
    }
    chosen = ranked.filter("selected")
    return {
        "pairs": ranked.height,
        "without_delta": ranked[column].null_count(),
        "selected": chosen.height,
        "delta_at_cut": cut,
        "tied_at_cut": tied.height,
        "tied_and_selected": tied["selected"].sum(),
        "mean_delta": means,
        "mean_delta_selected": _rounded(chosen[column].mean()),
    }


def _rounded(value: Any) -> float | None:
    return None if value is None else round(value, 4)
