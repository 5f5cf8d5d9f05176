"""Twelve toy rows in the exact columns of open-r1/OpenR1-Math-220k, default, train.

Each tests one rule of delta/data/openr1.py.
"""

from pathlib import Path
from typing import Any

import polars as pl

from delta.core.digests import sha256_of
from delta.data.sources import DataSource, LocalFiles

SCHEMA: dict[str, Any] = {
    "problem": pl.String,
    "solution": pl.String,
    "answer": pl.String,
    "problem_type": pl.String,
    "question_type": pl.String,
    "source": pl.String,
    "uuid": pl.String,
    "is_reasoning_complete": pl.List(pl.Boolean),
    "generations": pl.List(pl.String),
    "correctness_math_verify": pl.List(pl.Boolean),
    "correctness_llama": pl.List(pl.Boolean),
    "finish_reasons": pl.List(pl.String),
    "correctness_count": pl.Int64,
    "messages": pl.List(pl.Struct({"content": pl.String, "role": pl.String})),
}


def trace(answer: str, ended: bool = True) -> str:
    text = f"<think>\nAdd them up, it should be {answer}."
    return f"{text}\n</think>\n\nThe answer is $\\boxed{{{answer}}}$." if ended else text


def row(problem: str | None, answer: str | None, **changes: Any) -> dict[str, Any]:
    """Return a row whose first trace is correct and whose second is incorrect by Math-Verify."""
    return {
        "problem": problem,
        "solution": f"It is {answer}.",
        "answer": answer,
        "problem_type": "Algebra",
        "question_type": "math-word-problem",
        "source": "olympiads",
        "uuid": "3b2f0c1e-0000-5000-8000-000000000001",
        "is_reasoning_complete": [True, True],
        "generations": [trace(str(answer)), trace(f"{answer} + 1")],
        "correctness_math_verify": [True, False],
        "correctness_llama": None,
        "finish_reasons": None,
        "correctness_count": 1,
        "messages": [
            {"content": problem, "role": "user"},
            {"content": trace(str(answer)), "role": "assistant"},
        ],
    } | changes


ASKED = "Find the sum of all the prime factors of the number $2310$, with proof."

ROWS = [
    row("What is $1 + 1$ in the field of rational numbers?", "2", uuid=None),
    row(
        "Solve for $x$: $x^2 = 2$.",
        r"\pm\sqrt{2}",
        uuid=None,
        correctness_math_verify=[False, False],
        correctness_llama=[True, False],
    ),
    row("Everybody got $3 - 1$ right.", "2", correctness_math_verify=[True, True]),
    row("Nobody got $7 \\cdot 8$ right.", "56", correctness_math_verify=[False, False]),
    row("A list is too short here.", "1", is_reasoning_complete=[True]),
    row("A list is too long here.", "1", finish_reasons=["stop", "stop", "length"]),
    row("  ", "1"),
    row("The answer to this is lost.", None),
    row(
        "The wrong trace of $5 + 6$ was cut.",
        "11",
        is_reasoning_complete=[True, False],
        finish_reasons=["stop", "length"],
        generations=[trace("11"), trace("12", ended=False)],
    ),
    row(
        "The right trace of $5 + 7$ was cut.",
        "12",
        is_reasoning_complete=[False, True],
        generations=[trace("12", ended=False), trace("13")],
    ),
    row("what is 1 + 1 in the  field of rational numbers?", "2"),
    row(f"A harder one. {ASKED}", "28", source="amc_aime", problem_type="Number Theory"),
]


def write_source(path: Path, rows: list[dict[str, Any]]) -> DataSource:
    """Write a Parquet file of the rows and return the source that reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, schema=SCHEMA).write_parquet(path)
    return local_source(path)


def local_source(path: Path) -> DataSource:
    return DataSource(file=LocalFiles(path=str(path), sha256=sha256_of(path)))
