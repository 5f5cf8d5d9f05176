"""Votes of a judge on a few traces, written out."""

import polars as pl

from delta.analysis.votes import Votes, gather_votes
from delta.core.schemas import RATING, TRACE, VERDICT
from delta.core.tables import frame_of

FACTS = "factuality"


def rating(trace: str, votes: list[int], dimension: str = FACTS, judge: str = "x") -> pl.DataFrame:
    row = {"trace_id": trace, "judge": judge, "dimension": dimension, "votes": votes, "refused": 0}
    return frame_of([row], RATING)


def votes_of(
    votes: dict[str, list[int]], outcomes: dict[str, str] | None = None, dimension: str = FACTS
) -> Votes:
    """Return Votes in one dimension, from votes by trace_id (problem/generator/sample)."""
    rows = []
    for trace_id in votes:
        problem_id, generator, _ = trace_id.split("/")
        rows.append({"trace_id": trace_id, "problem_id": problem_id, "generator": generator})
    verdicts = [{"trace_id": id_, "outcome": outcome} for id_, outcome in (outcomes or {}).items()]
    ratings = pl.concat(rating(id_, values, dimension) for id_, values in votes.items())
    return gather_votes(frame_of(rows, TRACE), frame_of(verdicts, VERDICT), ratings)
