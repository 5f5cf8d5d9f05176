"""What stage `analyze` finds out: rows for each table and plot, and the headline numbers."""

import itertools
from typing import NamedTuple

import numpy as np
import polars as pl

from delta.analysis import (
    correctness_auc,
    generator_deltas,
    inter_rater,
    reliability,
    topk_sets,
    variance_components,
)
from delta.analysis.config import AnalysisParams
from delta.analysis.votes import MEAN, Array, Votes, gather
from delta.core.types import Row
from delta.judging.agreement import agreement

Rows = dict[str, list[Row]]  # by the name of the file under data/analysis
PEOPLE = "people"


class Inputs(NamedTuple):
    """Of all generators. People: one table of ratings each."""

    traces: pl.DataFrame  # trace_id, problem_id, generator
    verdicts: pl.DataFrame
    ratings: pl.DataFrame
    second: pl.DataFrame
    selected: pl.DataFrame
    people: list[pl.DataFrame]


def analyze(params: AnalysisParams, tie_seed: int, inputs: Inputs) -> tuple[Rows, Row]:
    """`tie_seed`: the selector's, so that the sets are those that it would cut."""
    votes = gather(inputs.traces, inputs.verdicts, inputs.ratings)
    ranked = topk_sets.rank_pairs(inputs.selected, tie_seed)
    num_problems = inputs.traces["problem_id"].n_unique()
    rows = {
        "consistency": [*_consistency("votes", votes.matrices), *_among_people(inputs.people)],
        "agreement": _agreements(inputs),
        "auc": correctness_auc.rows(votes),
        "delta_matrix": generator_deltas.rows(votes, num_problems),
        "reliability": reliability.rows(votes, inputs.selected),
        "variance": variance_components.rows(votes),
        "overlap": topk_sets.overlap_rows(ranked, params.k),
        "cuts": topk_sets.cut_rows(ranked, votes, params.k, params.resamples, params.seed),
        "length": topk_sets.length_rows(ranked),
    }
    return rows, _counts(inputs, votes, ranked) | {
        "dimensions": _headline(rows, list(votes.matrices))
    }


def _consistency(who: str, matrices: dict[str, Array]) -> list[Row]:
    return [{"among": who} | row for row in inter_rater.rows(matrices)]


def _among_people(people: list[pl.DataFrame]) -> list[Row]:
    """Of people each is one column; a trace that one of them did not rate has a gap there."""
    if len(people) < 2:
        return []
    every = pl.concat(people).select("trace_id", "dimension").unique().sort("trace_id")
    matrices = {}
    for dimension in every["dimension"].unique().sort():
        own = every.filter(pl.col("dimension") == dimension)
        columns = [
            own.join(
                table.select("trace_id", "dimension", vote=pl.col("votes").list.first()),
                on=["trace_id", "dimension"],
                how="left",
                maintain_order="left",
            )["vote"]
            for table in people
        ]
        cast = [column.cast(pl.Float64).fill_null(np.nan).to_numpy() for column in columns]
        matrices[dimension] = np.column_stack(cast)
    return _consistency(PEOPLE, matrices)


def _agreements(inputs: Inputs) -> list[Row]:
    """The judge with the second one and with each person, and people with each other."""
    others = [("second judge", inputs.second), *((_name(one), one) for one in inputs.people)]
    pairs = [("judge", inputs.ratings, *other) for other in others if other[1].height]
    people = itertools.combinations(inputs.people, 2)
    pairs += [(_name(one), one, _name(other), other) for one, other in people]
    return [
        {"first": first, "second": second, "dimension": dimension} | figures
        for first, ours, second, theirs in pairs
        for dimension, figures in agreement(ours, theirs).items()
    ]


def _name(person: pl.DataFrame) -> str:
    return str(person["judge"].first())


def _counts(inputs: Inputs, votes: Votes, ranked: topk_sets.Ranking) -> Row:
    traces, rated = inputs.traces.height, votes.traces.height
    pairs, with_deltas = inputs.selected.height, ranked.pairs.height
    return {
        "traces": traces,
        "traces_rated": rated,
        "traces_not_rated": traces - rated,
        "votes": sum(
            int((~np.isnan(votes.matrices[name])).sum()) for name in votes.matrices if name != MEAN
        ),
        "votes_refused": int(inputs.ratings["refused"].sum()),
        "pairs": pairs,
        "pairs_with_all_deltas": with_deltas,
        "pairs_without": pairs - with_deltas,
    }


def _headline(rows: Rows, dimensions: list[str]) -> dict[str, Row]:
    """The few numbers of each dimension that a person compares between experiments."""
    places: tuple[tuple[str, str, str, dict[str, str]], ...] = (
        ("alpha_ordinal", "consistency", "alpha_ordinal", {"among": "votes"}),
        ("icc_one_vote", "consistency", "icc_one_vote", {"among": "votes"}),
        ("auc", "auc", "auc", {"kind": "pooled"}),
        ("auc_within_problem", "auc", "auc", {"kind": "within_problem"}),
        ("reliability", "reliability", "predicted", {}),
        ("judge_share_of_delta", "variance", "share", {"of": "delta", "source": "judge"}),
        ("length_spearman", "length", "spearman", {}),
        ("second_judge_spearman", "agreement", "spearman", {"second": "second judge"}),
    )
    return {
        dimension: {
            name: _last(rows[table], column, where | {"dimension": dimension})
            for name, table, column, where in places
        }
        for dimension in dimensions
    }


def _last(rows: list[Row], column: str, where: dict[str, str]) -> float | None:
    """Of the last row that fits: that of the reliability by the most votes."""
    fitting = [row for row in rows if where.items() <= row.items()]
    value: float | None = fitting[-1][column] if fitting else None
    return value
