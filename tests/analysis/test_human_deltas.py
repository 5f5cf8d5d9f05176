"""Table 1 by people: the judge's votes on everything, corrected by people's on some."""

import numpy as np
import polars as pl
import pytest

from delta.analysis.human_deltas import human_delta_rows
from delta.analysis.votes import Votes
from delta.judging.rubric import DIMENSIONS, MEAN

PROBLEMS, RATED = 40, 12  # a trace of each generator on each problem; people rate the first ones
ID = [f"{name}/{place:02}" for name in ("strong", "weak") for place in range(PROBLEMS)]
TRUE = np.array([4.0 - place % 2 for place in range(PROBLEMS)] + [2.0] * PROBLEMS)


def judge_votes() -> Votes:
    """Return votes that are right for the weak generator and half a point high for the other."""
    votes = (TRUE + np.repeat([0.5, 0.0], PROBLEMS))[:, None]
    traces = pl.DataFrame(
        {
            "trace_id": ID,
            "problem_id": [f"p{place:02}" for place in range(PROBLEMS)] * 2,
            "generator": ["strong"] * PROBLEMS + ["weak"] * PROBLEMS,
        }
    )
    return Votes(traces, dict.fromkeys((*DIMENSIONS, MEAN), votes))


def person(rated: int) -> pl.DataFrame:
    rows = [
        {"trace_id": ID[start + place], "dimension": name, "votes": [int(TRUE[start + place])]}
        for name in DIMENSIONS
        for start in (0, PROBLEMS)
        for place in range(rated)
    ]
    return pl.DataFrame(rows)


def test_without_people_there_is_no_row() -> None:
    assert human_delta_rows(judge_votes(), []) == []


def test_people_correct_the_judge_and_the_judge_narrows_the_interval() -> None:
    rows = human_delta_rows(judge_votes(), [person(RATED)])
    assert len(rows) == 2 * (len(DIMENSIONS) + 1)
    row = next(row for row in rows if row["chosen"] == "strong" and row["dimension"] == MEAN)
    # 3.5 - 2 by people; the judge alone would say 2.
    assert row["delta"] == pytest.approx(1.5)
    assert row["people_delta"] == pytest.approx(1.5)
    assert row["high"] - row["low"] < row["people_high"] - row["people_low"]
    assert (row["judge_weight"] > 0.5, row["people_rated"]) == (True, RATED)


def test_two_people_count_by_their_mean() -> None:
    other = person(RATED).with_columns(votes=pl.col("votes").list.eval(pl.element() + 1))
    rows = human_delta_rows(judge_votes(), [person(RATED), other])
    assert rows[0]["people_delta"] == pytest.approx(1.5)


def test_few_ratings_give_only_the_interval_by_people() -> None:
    row = human_delta_rows(judge_votes(), [person(4)])[0]
    assert (row["delta"], row["judge_weight"], row["people_rated"]) == (None, None, 4)
    assert row["people_low"] is not None
