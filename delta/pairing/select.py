"""Rank pairs by sample-level delta; select pairs and control groups (paper, section 4.3)."""

import hashlib
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import Field, field_validator, model_validator

from delta.core.errors import InputError
from delta.core.files import round4
from delta.core.params import StrictModel
from delta.core.schemas import SELECTED, SIDES, TRAINING_PAIR, delta_column, delta_columns
from delta.core.shuffle import shuffle_keys
from delta.core.types import Counts
from delta.judging.ratings import DECIMALS, check_one_judge
from delta.judging.rubric import DIMENSIONS, MEAN
from delta.pairing import length_matching, score_formula


class Quantile(StrictModel):
    """One of several groups, equal in size to within a pair, of all pairs in order of score."""

    number: Annotated[int, Field(ge=1)]  # 1 has the smallest scores
    of: Annotated[int, Field(ge=2)]  # 5: quintiles

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if self.number > self.of:
            raise ValueError(f"number is {self.number} of {self.of}; expected 1 to {self.of}")
        return self


class SelectorParams(StrictModel):
    """The section `selector` of params.yaml."""

    # top, bottom: largest or smallest score first; random, length_matched: controls for top;
    # quantile: k at random from one quantile of the scores
    mode: Literal["top", "bottom", "random", "length_matched", "quantile", "all"]
    by: str  # the score: a dimension, "mean", or a formula
    k: Annotated[int, Field(ge=1)] | None  # pairs to select; null exactly if mode is all
    quantile: Quantile | None  # null exactly if mode is not quantile
    seed: Annotated[int, Field(ge=0)]  # of random selection, and of the order of equal scores

    @field_validator("by")
    @classmethod
    def _is_a_formula(cls, by: str) -> str:
        score_formula.to_expression(by, {name: pl.col(name) for name in (*DIMENSIONS, MEAN)})
        return by

    @model_validator(mode="after")
    def _k_unless_all(self) -> Self:
        if (self.k is None) != (self.mode == "all"):
            raise ValueError(
                f"k is {self.k} and mode {self.mode!r}; expected null with all, else a number"
            )
        if (self.quantile is not None) != (self.mode == "quantile"):
            raise ValueError(
                f"quantile is {self.quantile and self.quantile.model_dump()} and mode "
                f"{self.mode!r}; expected number and of with mode quantile, else null"
            )
        return self


def add_deltas(pairs: pl.DataFrame, ratings: pl.DataFrame) -> pl.DataFrame:
    """Add a column delta_<dimension> for every rated dimension, in points of the 1-5 scale.

    A delta is mean(votes on chosen) - mean(votes on rejected). It is null if a side has no vote,
    because a refused rating is not a low rating. Raises InputError if several judges voted.
    """
    check_one_judge(ratings)
    means = ratings.select("trace_id", "dimension", mean=pl.col("votes").list.mean()).pivot(
        on="dimension", index="trace_id", values="mean", sort_columns=True
    )
    dimensions = [column for column in means.columns if column != "trace_id"]
    chosen, rejected = (
        means.select(
            pl.col("trace_id").alias(f"{side}_id"), pl.col(dimensions).name.suffix(f"_{side}")
        )
        for side in SIDES
    )
    return (
        pairs.join(chosen, on="chosen_id", how="left", maintain_order="left")
        .join(rejected, on="rejected_id", how="left", maintain_order="left")
        .select(
            *pairs.columns,
            *(
                (pl.col(f"{name}_chosen") - pl.col(f"{name}_rejected"))
                .round(DECIMALS)
                .alias(delta_column(name))
                for name in dimensions
            ),
        )
    )


def select(
    params: SelectorParams, pairs: pl.DataFrame, ratings: pl.DataFrame
) -> tuple[pl.DataFrame, Counts]:
    """Return all pairs with deltas, score, rank and the reason why each is in or out; and counts.

    Scores often tie at the cut, because means of few votes have few values. A seeded hash of the
    pair's id orders equal scores. The order of `bottom` is that of `top` reversed, also among equal
    scores. Only pairs with a score are selected, also by `random`, so that it is a fair control for
    `top`. The exceptions are `all`, and `random` if nothing was rated.
    """
    return select_by_delta(params, add_deltas(pairs, ratings), ratings)


def select_by_delta(
    params: SelectorParams, with_deltas: pl.DataFrame, ratings: pl.DataFrame
) -> tuple[pl.DataFrame, Counts]:
    """Select from the result of `add_deltas`, for several selections of the same pairs."""
    scored = _with_score(params, with_deltas)
    needs_score = params.mode != "all" and not (params.mode == "random" and ratings.is_empty())
    ranked = _ranked(params, scored, needs_score)
    candidates = ranked["rank"].count()
    candidates_text = (
        f"of {ranked.height} pairs have a delta in {params.by}" if needs_score else "pairs"
    )
    _check_size(params, candidates, candidates_text)
    table = _apply_cut(params, ranked)
    counts = _counts(params, table)
    counts["candidates"] = candidates
    counts["candidates_are"] = "pairs with a delta" if needs_score else "all pairs"
    counts["with_refused_votes"] = _with_refused_votes(table, ratings)
    counts["mean_rating_selected"] = _mean_ratings(table.filter("selected"), ratings)
    counts["pairs_sha256"] = _digest(training_pairs(table))
    return table.select(*SELECTED.columns, *delta_columns(table).values(), "score"), counts


def training_pairs(table: pl.DataFrame) -> pl.DataFrame:
    """Return the ids of the selected pairs (TRAINING_PAIR) in an order that no score changes.

    So two selections of the same pairs give the same table, and DVC trains on it once.
    """
    return table.filter("selected").sort("pair_id").select(*TRAINING_PAIR.columns)


def _digest(pairs: pl.DataFrame) -> str:
    return hashlib.sha256("\n".join(pairs["pair_id"]).encode()).hexdigest()


def _with_score(params: SelectorParams, scored: pl.DataFrame) -> pl.DataFrame:
    deltas = {dimension: pl.col(column) for dimension, column in delta_columns(scored).items()}
    if not deltas:
        return scored.with_columns(score=pl.lit(None, dtype=pl.Float64))
    mean = pl.sum_horizontal(deltas.values(), ignore_nulls=False) / len(deltas)
    try:
        score = score_formula.to_expression(params.by, deltas | {MEAN: mean})
    except InputError as error:
        raise InputError(f"selector.by = {params.by!r}: not rated: {error}") from None
    return scored.with_columns(score=score.round(DECIMALS) + 0.0)  # turns -0.0 into 0.0


def _ranked(params: SelectorParams, scored: pl.DataFrame, needs_score: bool) -> pl.DataFrame:
    """Sort the pairs by the mode. Pairs that cannot be selected have a null rank."""
    is_random, is_bottom = params.mode == "random", params.mode == "bottom"
    # Another hash than for ties; else random would share too many pairs with top.
    names = ("random",) if is_random else ()
    return (
        scored.with_columns(
            _tie_break=shuffle_keys(params.seed, *names, each=scored["pair_id"]),
            _excluded=pl.col("score").is_null() if needs_score else pl.lit(value=False),
            _by=pl.lit(0.0) if is_random else pl.col("score"),
        )
        .sort(
            "_excluded",
            "_by",
            "_tie_break",
            descending=[False, not is_bottom, is_bottom],
            nulls_last=True,
        )
        .with_row_index("rank", offset=1)
        .with_columns(rank=pl.when(~pl.col("_excluded")).then(pl.col("rank").cast(pl.Int64)))
        .drop("_excluded", "_by")
    )


def _check_size(params: SelectorParams, candidates: int, candidates_text: str) -> None:
    if params.quantile is not None:
        start, end = _ranks_of(params.quantile, candidates)
        if params.k is not None and params.k > end - start:
            raise InputError(
                f"selector.k = {params.k}: only {candidates} {candidates_text}, so quantile "
                f"{params.quantile.number} of {params.quantile.of} has {end - start}; "
                f"expected 1 to {end - start}"
            )
    groups = 2 if params.mode == "length_matched" else 1  # the reference and its control
    if params.k is not None and groups * params.k > candidates:
        twice = ", and length_matched takes 2 × k" if groups == 2 else ""
        raise InputError(
            f"selector.k = {params.k}: only {candidates} {candidates_text}{twice}; "
            f"expected 1 to {candidates // groups}"
        )


def _apply_cut(params: SelectorParams, ranked: pl.DataFrame) -> pl.DataFrame:
    """Add the columns `selected` and `why`."""
    within = pl.col("rank").le(params.k or ranked.height).fill_null(value=False)
    if params.mode == "length_matched":
        inside = pl.col("pair_id").is_in(_length_matched(ranked, params.k or 0).implode())
        outside = pl.when(within).then(pl.lit("reference")).otherwise(pl.lit("not matched"))
    elif params.quantile is not None:
        part = _in_quantile(params.quantile, ranked)
        inside = pl.col("pair_id").is_in(_at_random(params, ranked.filter(part)).implode())
        outside = pl.when(part).then(pl.lit("not drawn")).otherwise(pl.lit("another quantile"))
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


def _length_matched(ranked: pl.DataFrame, k: int) -> pl.Series:
    """Return the ids of k pairs below the first k with the length differences nearest to theirs."""
    reference = ranked.filter(pl.col("rank") <= k)["length_difference"].to_list()
    others = ranked.filter(pl.col("rank") > k).sort("length_difference", "_tie_break")
    indices = length_matching.match_nearest(reference, others["length_difference"].to_list())
    return others["pair_id"].gather(indices)


def _ranks_of(quantile: Quantile, candidates: int) -> tuple[int, int]:
    """Return the ranks of a quantile: more than the first number, and at most the second."""
    # Rank 1 has the largest score, and quantile 1 the smallest scores.
    place = quantile.of - quantile.number
    return place * candidates // quantile.of, (place + 1) * candidates // quantile.of


def _in_quantile(quantile: Quantile, ranked: pl.DataFrame) -> pl.Expr:
    start, end = _ranks_of(quantile, ranked["rank"].count())
    return pl.col("rank").gt(start).fill_null(value=False) & pl.col("rank").le(end)


def _at_random(params: SelectorParams, pairs: pl.DataFrame) -> pl.Series:
    """Return the ids of k of the pairs, in the order of mode random."""
    keys = shuffle_keys(params.seed, "random", each=pairs["pair_id"])
    return pairs.with_columns(_key=keys).sort("_key")["pair_id"].head(params.k or 0)


def _counts(params: SelectorParams, table: pl.DataFrame) -> Counts:
    selected = table.filter("selected")
    has_cut = params.mode in ("top", "bottom", "length_matched")
    cut = table.filter(pl.col("rank") == params.k)["score"].item() if has_cut else None
    tied = table.filter(pl.col("score").eq(cut)) if has_cut else table.clear()
    means = {dimension: _mean(table[column]) for dimension, column in delta_columns(table).items()}
    counts = {
        "pairs": table.height,
        "without_delta": table["score"].null_count(),
        "selected": selected.height,
        "delta_at_cut": cut,
        "tied_at_cut": tied.height if has_cut else None,
        "tied_and_selected": tied["selected"].sum() if has_cut else None,
        "mean_delta": means,
        "mean_delta_selected": _mean(selected["score"]),
        "outcomes_selected": _outcome_fractions(selected),
    }
    counts |= _length_counts(table, selected)
    if params.mode == "length_matched":
        reference = table.filter(pl.col("rank") <= params.k)["length_difference"]
        counts["matching"] = {
            "ks_distance": length_matching.ks_distance(reference, selected["length_difference"]),
            "mean_length_difference_reference": _mean(reference),
        }
    if params.quantile is not None:
        scores = table.filter(_in_quantile(params.quantile, table))["score"]
        counts["quantile"] = {
            "pairs": scores.len(),
            "lowest_delta": scores.min(),
            "highest_delta": scores.max(),
        }
    return counts


def _length_counts(table: pl.DataFrame, selected: pl.DataFrame) -> Counts:
    """Return counts that show whether the score only measures which side is longer."""
    scored = table.drop_nulls("score")
    correlations = {
        method: round4(scored.select(pl.corr("score", "length_difference", method=method)).item())
        for method in ("pearson", "spearman")
    }
    return {
        "mean_length_difference": _mean(table["length_difference"]),
        "mean_length_difference_selected": _mean(selected["length_difference"]),
        "correlation_with_length_difference": correlations,
    }


def _outcome_fractions(selected: pl.DataFrame) -> dict[str, float | None]:
    outcomes = pl.concat_str("chosen_outcome", pl.lit(">"), "rejected_outcome")
    counts = selected.group_by(outcomes.alias("outcomes")).len().sort("outcomes")
    return {name: round4(number / selected.height) for name, number in counts.iter_rows()}


def _mean_ratings(selected: pl.DataFrame, ratings: pl.DataFrame) -> dict[str, dict[str, float]]:
    """Return the mean rating of each side of the selected pairs by dimension, 1 to 5.

    Traces without a vote are left out.
    """
    means = ratings.select("trace_id", "dimension", rating=pl.col("votes").list.mean())
    by_side = {}
    for side in SIDES:
        rated = selected.select(pl.col(f"{side}_id").alias("trace_id")).join(means, on="trace_id")
        mean = rated.drop_nulls("rating").group_by("dimension").agg(pl.col("rating").mean())
        by_side[side] = {
            name: round(value, 4) for name, value in mean.sort("dimension").iter_rows()
        }
    return by_side


def _with_refused_votes(table: pl.DataFrame, ratings: pl.DataFrame) -> int:
    traces = ratings.filter(pl.col("refused") > 0)["trace_id"].unique().implode()
    return table.filter(
        pl.col("chosen_id").is_in(traces) | pl.col("rejected_id").is_in(traces)
    ).height


def _mean(values: pl.Series) -> float | None:
    return round4(values.mean())  # type: ignore[arg-type]
