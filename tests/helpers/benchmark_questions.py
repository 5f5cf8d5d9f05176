"""Questions of a benchmark, as tests write them."""

import polars as pl

from delta.core import tables
from delta.core.schemas import QUESTION


def benchmark_questions(name: str, statements: list[str]) -> dict[str, pl.DataFrame]:
    """Return the frame of a benchmark with these statements, by its name."""
    rows = [
        {
            "question_id": f"{name}.{number}",
            "statement": statement,
            "prompt": f"Solve: {statement}",
            "history": [],
            "gold_answer": "1",
            "grader": "math",
            "metadata": "{}",
        }
        for number, statement in enumerate(statements)
    ]
    return {name: tables.frame_of(rows, QUESTION)}
