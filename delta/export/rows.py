"""Selected pairs as rows of TRL's conversational formats: preference (DPO) and unpaired (KTO)."""

from typing import Any

import polars as pl

from delta.core.errors import InputError
from delta.core.schemas import SIDES
from delta.core.shuffle import shuffle_key
from delta.prompts import control_tokens

CONFIGS = ("preference", "unpaired")
OF_A_TRACE = ("trace_id", "generator", "text", "finish_reason")

# Without an end of turn that a file kept: whoever trains on the rows appends another.
COMPLETION = (
    pl.when(pl.col("finish_reason") == "stop")
    .then(pl.col("text").map_elements(control_tokens.strip_end_of_turn, return_dtype=pl.String))
    .otherwise("text")
)

Facts = dict[str, dict[str, Any]]


def traces_of_rows(rows: pl.DataFrame, traces: list[pl.LazyFrame]) -> pl.DataFrame:
    """The traces that `rows` name in their columns *_id, and no others."""
    names = [name for name in ("chosen_id", "rejected_id", "trace_id") if name in rows.columns]
    ids = pl.concat([rows[name] for name in names]).unique()
    found = pl.concat(
        scanned.filter(pl.col("trace_id").is_in(ids.implode()))
        .select(*OF_A_TRACE)
        .collect(engine="streaming")
        for scanned in traces
    )
    if lost := sorted(set(ids) - set(found["trace_id"])):
        raise InputError(f"trace {lost[0]!r} of a pair is missing; rebuild with `dvc repro`")
    return found


def preference_rows(
    pairs: pl.DataFrame, problems: pl.DataFrame, traces: pl.DataFrame
) -> pl.DataFrame:
    """prompt, chosen, rejected as messages, and what is known of each pair."""
    joined = _with_prompt(pairs, problems)
    for side in SIDES:
        of_the_side = traces.select(
            pl.col("trace_id").alias(f"{side}_id"),
            _messages("assistant", COMPLETION).alias(side),
            pl.col("generator").alias(f"{side}_generator"),
            pl.col("finish_reason").cast(pl.String).alias(f"{side}_finish_reason"),
        )
        joined = joined.join(of_the_side, on=f"{side}_id", how="left", maintain_order="left")
    return joined.select(
        "prompt",
        *SIDES,
        "pair_id",
        "problem_id",
        "rank",
        "score",
        pl.col("^delta_.*$"),
        *(pl.col(f"{side}_outcome").cast(pl.String) for side in SIDES),
        *(f"{side}_generator" for side in SIDES),
        *(f"{side}_finish_reason" for side in SIDES),
    )


def split_pairs(pairs: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Both sides of every pair, in the order in which KTO is trained here: TRL does not shuffle."""
    sides = [
        pairs.select(
            "pair_id",
            "problem_id",
            pl.col(f"{side}_id").alias("trace_id"),
            pl.col(f"{side}_outcome").cast(pl.String).alias("outcome"),
            side=pl.lit(side),
        )
        for side in SIDES
    ]
    both = pl.concat(sides)
    names = both.select("pair_id", "side").iter_rows()
    drawn = [shuffle_key(seed, pair_id, side) for pair_id, side in names]
    return both.with_columns(pl.Series("_order", drawn, dtype=pl.String)).sort("_order")


def unpaired_rows(rows: pl.DataFrame, problems: pl.DataFrame, traces: pl.DataFrame) -> pl.DataFrame:
    """prompt and completion as messages, label: whether it is the chosen side."""
    joined = _with_prompt(rows, problems).join(
        traces, on="trace_id", how="left", maintain_order="left"
    )
    return joined.select(
        "prompt",
        _messages("assistant", COMPLETION).alias("completion"),
        pl.col("side").eq("chosen").alias("label"),
        "pair_id",
        "problem_id",
        "outcome",
        "generator",
        pl.col("finish_reason").cast(pl.String),
    )


def _with_prompt(rows: pl.DataFrame, problems: pl.DataFrame) -> pl.DataFrame:
    asked = problems.select(
        "problem_id",
        pl.concat_list("history", _messages("user", pl.col("prompt"))).alias("prompt"),
    )
    joined = rows.join(asked, on="problem_id", how="left", maintain_order="left")
    if (lost := joined.filter(pl.col("prompt").is_null())).height:
        name = lost["problem_id"][0]
        raise InputError(f"problem {name!r} of a pair is missing; rebuild with `dvc repro`")
    return joined


def _messages(role: str, content: pl.Expr) -> pl.Expr:
    return pl.concat_list(pl.struct(pl.lit(role).alias("role"), content.alias("content")))


def describe_sides(pairs: pl.DataFrame, traces: list[pl.LazyFrame]) -> Facts:
    """For each side: how its traces ended, and their mean length."""
    facts: Facts = {}
    for side in SIDES:
        ids = pairs[f"{side}_id"].implode()
        found = pl.concat(
            scanned.filter(pl.col("trace_id").is_in(ids))
            .select("finish_reason", length=pl.col("text").str.len_chars())
            .collect(engine="streaming")
            for scanned in traces
        )
        ended = found["finish_reason"].cast(pl.String).value_counts().sort("finish_reason")
        facts[side] = {
            "ended": dict(ended.iter_rows()),
            "mean_length": round(found.select(pl.col("length").mean()).item()),
        }
    return facts
