"""The line of the stage `judge` has the mean vote, what was refused, and the second judge."""

import polars as pl

from stages.judge import describe_votes


def test_the_line_counts_votes_and_not_refusals() -> None:
    ratings = pl.DataFrame({"votes": [[1, 2], [5], []], "refused": [0, 1, 2]})
    assert describe_votes(ratings) == "3 votes, mean 2.67, 3 refused"
    agreement = {"factuality": {"exact": 0.5}, "step_coherence": {"exact": 1.0}}
    assert describe_votes(ratings, agreement | {"mean": {"exact": None}}) == (
        "3 votes, mean 2.67, 3 refused; the second judge's vote is equal in 75%"
    )


def test_without_votes_there_is_no_mean() -> None:
    schema = pl.Schema({"votes": pl.List(pl.Int64()), "refused": pl.Int64()})
    assert describe_votes(pl.DataFrame({}, schema=schema)) == "no votes"
    assert (
        describe_votes(pl.DataFrame({"votes": [[]], "refused": [2]}, schema=schema)) == "no votes"
    )
