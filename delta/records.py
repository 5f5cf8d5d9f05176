"""The rows that pass between stages: their columns, keys and closed sets.

A stage writes one of these tables and later stages read it; nothing else passes between them.
Votes are kept, not means, and dimensions stand in long form, so a sixth dimension is no code.
"""

from dataclasses import dataclass

import polars as pl

OUTCOMES = ("correct", "incorrect", "ungradable")
FINISH_REASONS = ("stop", "length", "refused")  # refused: the server gave no text
SIDES = ("chosen", "rejected")

Message = dict[str, str]  # {"role": "system" | "user" | "assistant", "content": ...}


@dataclass(frozen=True)
class Table:
    """Name, key columns and column types of one record."""

    name: str
    key: tuple[str, ...]
    columns: dict[str, pl.DataType | type[pl.DataType]]


PROBLEM = Table(
    "problem",
    ("problem_id",),
    {
        "problem_id": pl.String,  # source and index: the same problem keeps its id in larger sets
        "statement": pl.String,
        "gold_answer": pl.String,
        "source": pl.String,
        "domain": pl.String,
        "metadata": pl.String,  # JSON
    },
)

TRACE = Table(
    "trace",
    ("trace_id",),
    {
        "trace_id": pl.String,  # problem_id/generator/sample
        "problem_id": pl.String,
        "generator": pl.String,
        "sample": pl.Int64,
        "text": pl.String,  # with the reasoning
        "finish_reason": pl.Enum(FINISH_REASONS),
        "prompt_tokens": pl.Int64,
        "completion_tokens": pl.Int64,
    },
)

VERDICT = Table(
    "verdict",
    ("trace_id",),
    {
        "trace_id": pl.String,
        "outcome": pl.Enum(OUTCOMES),
        "extracted": pl.String,  # what the last box held; null where there is none
        "reason": pl.String,  # why the outcome is not "correct"; null where it is
    },
)

RATING = Table(
    "rating",
    ("trace_id", "judge", "dimension"),
    {
        "trace_id": pl.String,
        "judge": pl.String,
        "dimension": pl.String,
        "votes": pl.List(pl.Int64),  # each 1..5; empty where every vote was refused
        "refused": pl.Int64,  # votes asked for and not got
        "justification": pl.String,  # of the first vote; null where there is none
        "deductions": pl.List(pl.String),  # triggers found by the first vote
    },
)

PAIR = Table(
    "pair",
    ("pair_id",),
    {
        "pair_id": pl.String,
        "problem_id": pl.String,
        "chosen_id": pl.String,
        "rejected_id": pl.String,
        "recipe": pl.String,
    },
)

# `select` adds one column delta_<dimension> for every dimension that was rated.
SELECTED = Table(
    "selected pair",
    ("pair_id",),
    PAIR.columns
    | {
        "rank": pl.Int64,  # 1 is first; null where the pair has no delta
        "selected": pl.Boolean,
        "why": pl.String,  # "selected", "below the cut" or "no delta"
    },
)

ANSWER = Table(
    "answer",
    ("question_id", "sample"),
    {
        "benchmark": pl.String,
        "question_id": pl.String,
        "sample": pl.Int64,
        "text": pl.String,
        "gold_answer": pl.String,
        "outcome": pl.Enum(OUTCOMES),
        "extracted": pl.String,
        "reason": pl.String,
        "finish_reason": pl.Enum(FINISH_REASONS),
    },
)


def trace_id(problem_id: str, generator: str, sample: int) -> str:
    return f"{problem_id}/{generator}/{sample}"
