"""The agreement of two judges on the same traces."""

import polars as pl

from delta.core.schemas import RATING
from delta.core.tables import frame_of
from delta.judging.agreement import judge_agreement
from tests.helpers.toy_judge import DIMENSIONS


def votes_of(judge: str, votes: dict[str, list[int]]) -> pl.DataFrame:
    """Return ratings in one dimension; `votes` is by trace_id."""
    rows = [
        {"trace_id": name, "judge": judge, "dimension": "factuality", "votes": cast, "refused": 0}
        for name, cast in votes.items()
    ]
    return frame_of(rows, RATING)


def test_agreement_compares_the_votes_of_two_judges() -> None:
    first = votes_of("x", {"a": [5], "b": [3], "c": [1, 2], "d": [4], "e": []})
    second = votes_of("y", {"a": [5, 4], "b": [1], "c": [2, 2], "e": [3], "f": [1]})
    # a: 1/2 equal, all within one, |5 - 4.5|; b: none, |3 - 1|; c: 1/2, all, |1.5 - 2|
    assert judge_agreement(first, second)["factuality"] == {
        "traces": 3,
        "unrated": 1,
        "exact": 0.3333,
        "within_one": 0.6667,
        "mean_difference": 1.0,
        "spearman": 0.5,
    }


def test_agreement_is_none_without_shared_traces_or_variation() -> None:
    nothing = judge_agreement(votes_of("x", {"a": [5]}), votes_of("y", {"b": [5]}))
    assert list(nothing) == list(DIMENSIONS)
    assert nothing["factuality"] == {
        "traces": 0,
        "unrated": 0,
        "exact": None,
        "within_one": None,
        "mean_difference": None,
        "spearman": None,
    }
    flat = judge_agreement(votes_of("x", {"a": [5], "b": [4]}), votes_of("y", {"a": [3], "b": [3]}))
    assert flat["factuality"]["spearman"] is None
    assert flat["factuality"]["mean_difference"] == 1.5
