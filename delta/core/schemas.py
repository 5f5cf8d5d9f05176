"""The tables that pass between stages: their columns, keys and categories.

Votes are kept rather than means. Dimensions are rows, so that a sixth one needs no code.
"""

from dataclasses import dataclass

import polars as pl

OUTCOMES = ("correct", "incorrect", "ungradable")
NO_GOLD = "no_gold"  # the problem has no gold answer to grade by
TRACE_OUTCOMES = (*OUTCOMES, NO_GOLD)
# refused: the server will never give a text; failed: no reply came within the allowed attempts
FINISH_REASONS = ("stop", "length", "refused", "failed")
WITHOUT_TEXT = ("refused", "failed")  # finish reasons of a trace without a text
SIDES = ("chosen", "rejected")
DELTA_PREFIX = "delta_"
GRADERS = ("math", "choice", "theorem", "code")
DECIDERS = ("grader", "llm", "source")  # who gave a verdict; source: the recording

Message = dict[str, str]  # {"role": "system" | "user" | "assistant", "content": ...}
# The turns before a prompt: a system prompt, earlier turns of user and assistant. May be empty.
HISTORY = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))


@dataclass(frozen=True)
class Table:
    """Name, key columns and column types of a table."""

    name: str
    key: tuple[str, ...]
    columns: dict[str, pl.DataType | type[pl.DataType]]


PROBLEM = Table(
    "problem",
    ("problem_id",),
    {
        "problem_id": pl.String,  # source and index: the same problem keeps its id in larger sets
        "statement": pl.String,  # the user's last turn, without an instruction
        "prompt": pl.String,  # that turn as models get it, with the source's instruction
        "history": HISTORY,
        "gold_answer": pl.String,  # empty where the source has none
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
        "text": pl.String,  # with the reasoning and its markers
        # Characters from the start of `text`: reasoning = text[reasoning_start:reasoning_end].
        "reasoning_start": pl.Int64,
        "reasoning_end": pl.Int64,
        "answer_start": pl.Int64,  # null: cut before the reasoning ended, so there is no answer
        "finish_reason": pl.Enum(FINISH_REASONS),
        "prompt_tokens": pl.Int64,  # null where a recording does not say
        "completion_tokens": pl.Int64,
        # The verdict that a recording has on the trace; null where it has none.
        "recorded_outcome": pl.Enum(OUTCOMES),
        "source_row": pl.Int64,  # in a user's table, whose pairs are two traces of one row
    },
)

VERDICT = Table(
    "verdict",
    ("trace_id",),
    {
        "trace_id": pl.String,
        "outcome": pl.Enum(TRACE_OUTCOMES),
        "extracted": pl.String,  # content of the last box; null where there is none
        "reason": pl.String,  # why the outcome is not "correct"; null where it is
        "decided_by": pl.Enum(DECIDERS),
    },
)

RATING = Table(
    "rating",
    ("trace_id", "judge", "dimension"),
    {
        "trace_id": pl.String,
        "judge": pl.String,
        "dimension": pl.String,
        "votes": pl.List(pl.Float64),  # each 1 to 5; empty where every vote was refused
        "refused": pl.Int64,  # requested votes that gave no score
        "justification": pl.String,  # of the first vote; null where there is none
        "deductions": pl.List(pl.String),  # triggers that the first vote lists
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
        "chosen_outcome": pl.Enum(TRACE_OUTCOMES),
        "rejected_outcome": pl.Enum(TRACE_OUTCOMES),
        "length_difference": pl.Int64,  # characters of the chosen text less those of the rejected
        "recipe": pl.String,
    },
)

# `select` adds a column for every rated dimension: `delta_columns`.
SELECTED = Table(
    "selected pair",
    ("pair_id",),
    PAIR.columns
    | {
        "rank": pl.Int64,  # 1 is first; null where the pair has no delta
        "selected": pl.Boolean,
        "why": pl.String,  # "selected", or why not
    },
)

# What training reads of the selected pairs. No scores: equal selections are equal files.
TRAINING_PAIR = Table(
    "training pair",
    ("pair_id",),
    {
        "pair_id": pl.String,
        "problem_id": pl.String,
        "chosen_id": pl.String,
        "rejected_id": pl.String,
    },
)

QUESTION = Table(
    "question",
    ("question_id",),
    {
        "question_id": pl.String,  # benchmark and index in its source
        "statement": pl.String,  # the bare question, for decontamination
        "prompt": pl.String,  # the whole user turn: instruction, examples, statement, options
        "history": HISTORY,
        "gold_answer": pl.String,
        "grader": pl.Enum(GRADERS),
        "metadata": pl.String,  # JSON
    },
)

# The traces of a model that is a recording.
RECORDING = Table(
    "recorded trace",
    ("problem_id", "sample"),
    {
        "problem_id": pl.String,
        "sample": pl.Int64,
        "text": pl.String,
        "finish_reason": pl.Enum(FINISH_REASONS),
        "outcome": pl.Enum(OUTCOMES),  # null where the recording has none
        "source_row": pl.Int64,  # where the recording is a user's table
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
        "answer_start": pl.Int64,  # as in TRACE
        "gold_answer": pl.String,
        "grader": pl.Enum(GRADERS),
        "outcome": pl.Enum(OUTCOMES),
        "extracted": pl.String,
        "reason": pl.String,
        # The outcome whatever the form of the answer (delta.grading.flexible_answer); null: code.
        "flexible_outcome": pl.Enum(OUTCOMES),
        "finish_reason": pl.Enum(FINISH_REASONS),
        "completion_tokens": pl.Int64,  # null where a model without tokens answered
    },
)


def delta_column(dimension: str) -> str:
    """Return the name of the column of `selected` with the deltas in `dimension`."""
    return DELTA_PREFIX + dimension


def delta_columns(selected: pl.DataFrame) -> dict[str, str]:
    """Return the columns with deltas, in points of the 1-5 scale, by dimension."""
    return {
        column.removeprefix(DELTA_PREFIX): column
        for column in selected.columns
        if column.startswith(DELTA_PREFIX)
    }


def trace_id(problem_id: str, generator: str, sample: int) -> str:
    """Return the key of a TRACE row; `sample` counts from 0."""
    return f"{problem_id}/{generator}/{sample}"
