"""Compute Table 1 by people: the mean delta of every two generators, the judge corrected."""

import itertools

import numpy as np
import polars as pl

from delta.analysis.generator_deltas import cell_means, trace_cells
from delta.analysis.votes import Array, Votes, mean_votes, rounded_row
from delta.core.types import Row
from delta.judging.rubric import MEAN
from delta.stats.prediction_powered import PoweredMean, RatedGroup, people_alone, prediction_powered

COLUMNS = ("delta", "low", "high")


def human_delta_rows(votes: Votes, people: list[pl.DataFrame]) -> list[Row]:
    """Return for each dimension and ordered pair of generators people's mean delta; [] without.

    delta, low, high: by prediction-powered inference, from the judge's votes on all rated traces
    and people's on some of them. people_delta and so on: by people alone. judge_weight: of the
    judge's votes, 0 to 1. people_rated: the problems that people rated, of the generator with
    fewer. Problems are the sampling unit and have equal weights, as in `delta_matrix`. Values are
    None where people rated too few.
    """
    if not people:
        return []
    by_people = _people_means(votes, people)
    names, cell, num_cells = trace_cells(votes.traces)
    table = []
    for dimension, matrix in votes.matrices.items():
        judge = mean_votes(matrix)
        human = np.where(np.isnan(judge), np.nan, by_people[dimension])
        judge_of_same = np.where(np.isnan(human), np.nan, judge)
        ratings = [
            cell_means(values, cell, num_cells).reshape(-1, len(names))
            for values in (human, judge_of_same, judge)
        ]
        for chosen, rejected in itertools.permutations(range(len(names)), 2):
            parts = [
                RatedGroup(weight, *(values[:, place] for values in ratings))
                for weight, place in ((1.0, chosen), (-1.0, rejected))
            ]
            row: Row = {"dimension": dimension}
            row |= {"chosen": names[chosen], "rejected": names[rejected]}
            table.append(row | _estimates(parts))
    return table


def _estimates(parts: list[RatedGroup]) -> Row:
    powered, alone = prediction_powered(parts), people_alone(parts)
    people_columns = [f"people_{name}" for name in COLUMNS]
    rated = min(int(np.count_nonzero(~np.isnan(part.people))) for part in parts)
    return {
        **rounded_row(COLUMNS, _interval(powered)),
        **rounded_row(people_columns, _interval(alone)),
        **rounded_row(["judge_weight"], [None if powered is None else powered.judge_weight]),
        "people_rated": rated,
    }


def _interval(mean: PoweredMean | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if mean is None else (mean.value, mean.low, mean.high)


def _people_means(votes: Votes, people: list[pl.DataFrame]) -> dict[str, Array]:
    """Return by dimension the mean of people's ratings of each rated trace; NaN without one."""
    cast = pl.concat(
        table.select("trace_id", "dimension", vote=pl.col("votes").list.first()) for table in people
    )
    means = cast.group_by("trace_id", "dimension").agg(pl.col("vote").cast(pl.Float64).mean())
    by_dimension = {}
    for dimension in votes.matrices:
        if dimension != MEAN:
            ratings = means.filter(pl.col("dimension") == dimension).select("trace_id", "vote")
            traces = votes.traces.select("trace_id")
            aligned = traces.join(ratings, on="trace_id", how="left", maintain_order="left")
            by_dimension[dimension] = aligned["vote"].fill_null(np.nan).to_numpy()
    if by_dimension:
        by_dimension[MEAN] = np.mean(list(by_dimension.values()), axis=0)
    return by_dimension
