"""Stage `analyze`: the tables about the judge and the deltas, and the headline numbers."""

import itertools
from typing import NamedTuple

import numpy as np
import polars as pl

from delta.analysis import (
    correctness_auc,
    generator_deltas,
    human_deltas,
    inter_rater,
    reliability,
    topk_sets,
    variance_components,
)
from delta.analysis.config import AnalysisParams
from delta.analysis.votes import Array, Votes, gather_votes
from delta.core.types import Row
from delta.judging.agreement import judge_agreement
from delta.judging.rubric import MEAN

Tables = dict[str, list[Row]]  # by the name of the file under data/analysis
PEOPLE = "people"
SECOND_JUDGE = "second judge"
# Headline number -> table, column, and what the row must have.
HEADLINES: dict[str, tuple[str, str, dict[str, str]]] = {
    "alpha_ordinal": ("inter_rater", "alpha_ordinal", {"raters": "votes"}),
    "icc_one_vote": ("inter_rater", "icc_one_vote", {"raters": "votes"}),
    "auc": ("correctness_auc", "auc", {"kind": "pooled"}),
    "auc_within_problem": ("correctness_auc", "auc", {"kind": "within_problem"}),
    "reliability": ("reliability", "predicted", {}),
    "judge_fraction_of_delta_variance": (
        "variance_components",
        "fraction_of_variance",
        {"quantity": "delta", "source": "judge"},
    ),
    "length_spearman": ("length_correlation", "spearman", {}),
    "second_judge_spearman": ("judge_agreement", "spearman", {"second": SECOND_JUDGE}),
}


class Inputs(NamedTuple):
    """The tables of all generators, and one table of ratings for each person."""

    traces: pl.DataFrame  # trace_id, problem_id, generator
    verdicts: pl.DataFrame
    ratings: pl.DataFrame
    second: pl.DataFrame
    selected: pl.DataFrame
    people: list[pl.DataFrame]


def analyze(params: AnalysisParams, tie_seed: int, inputs: Inputs) -> tuple[Tables, Row]:
    """Return the tables, and the counts with the headline numbers of each dimension.

    `tie_seed` is `selector.seed`, so that the top sets are those that `select` would select.
    """
    votes = gather_votes(inputs.traces, inputs.verdicts, inputs.ratings)
    ranked = topk_sets.rank_pairs(inputs.selected, tie_seed)
    num_problems = inputs.traces["problem_id"].n_unique()
    tables = {
        "inter_rater": [
            *inter_rater.inter_rater_rows("votes", votes.matrices),
            *inter_rater.inter_rater_rows(PEOPLE, _by_person(inputs.people)),
        ],
        "judge_agreement": _agreement_rows(inputs),
        "correctness_auc": correctness_auc.auc_rows(votes),
        "delta_matrix": generator_deltas.delta_matrix_rows(votes, num_problems),
        "human_deltas": human_deltas.human_delta_rows(votes, inputs.people),
        "reliability": reliability.reliability_rows(votes, inputs.selected),
        "variance_components": variance_components.variance_rows(votes),
        "topk_overlap": topk_sets.overlap_rows(ranked, params.k),
        "topk_stability": topk_sets.stability_rows(
            ranked, votes, params.k, params.resamples, params.seed
        ),
        "length_correlation": topk_sets.length_rows(ranked),
    }
    headlines = {
        dimension: {
            name: _last_value(tables[table], column, where | {"dimension": dimension})
            for name, (table, column, where) in HEADLINES.items()
        }
        for dimension in votes.matrices
    }
    return tables, _counts(inputs, votes, ranked) | {"dimensions": headlines}


def _by_person(people: list[pl.DataFrame]) -> dict[str, Array]:
    """Return by dimension: trace x person, NaN where a person did not rate; {} for one person."""
    if len(people) < 2:
        return {}
    key = ["trace_id", "dimension"]
    first_votes = pl.concat(
        table.select(*key, person=pl.lit(number), vote=pl.col("votes").list.first())
        for number, table in enumerate(people)
    )
    by_dimension = first_votes.pivot("person", index=key, values="vote").sort(*reversed(key))
    return {
        str(dimension): rows.drop(key).cast(pl.Float64).fill_null(np.nan).to_numpy()
        for (dimension,), rows in by_dimension.partition_by(
            "dimension", as_dict=True, maintain_order=True
        ).items()
    }


def _agreement_rows(inputs: Inputs) -> list[Row]:
    """Compare the judge with the second judge and each person, and people with each other."""
    people = [(str(table["judge"].first()), table) for table in inputs.people]
    others = [
        (name, table) for name, table in [(SECOND_JUDGE, inputs.second), *people] if len(table)
    ]
    comparisons = [(("judge", inputs.ratings), other) for other in others]
    comparisons += itertools.combinations(people, 2)
    return [
        {"first": first, "second": second, "dimension": dimension} | figures
        for (first, ours), (second, theirs) in comparisons
        for dimension, figures in judge_agreement(ours, theirs).items()
    ]


def _counts(inputs: Inputs, votes: Votes, ranked: topk_sets.Ranking) -> Row:
    traces, rated = inputs.traces.height, votes.traces.height
    pairs, complete = inputs.selected.height, ranked.pairs.height
    by_dimension = [matrix for name, matrix in votes.matrices.items() if name != MEAN]
    return {
        "traces": traces,
        "traces_rated": rated,
        "traces_not_rated": traces - rated,
        "votes": sum(int((~np.isnan(matrix)).sum()) for matrix in by_dimension),
        "votes_refused": int(inputs.ratings["refused"].sum()),
        "pairs": pairs,
        "pairs_with_all_deltas": complete,
        "pairs_without": pairs - complete,
    }


def _last_value(rows: list[Row], column: str, where: dict[str, str]) -> float | None:
    """Return the value in the last matching row: the reliability by the most votes."""
    values = [row[column] for row in rows if where.items() <= row.items()]
    return values[-1] if values else None
