"""Write a user's table, and build problems and recorded traces from it."""

import json
from pathlib import Path
from typing import Any

import polars as pl

from delta.data.fetch import ModelParams, RecordingSource
from delta.data.problems import ProblemSource, ProblemsParams, build_problems
from delta.data.sources import DataSource
from delta.data.user_tables import TableProblems, TableTraces
from tests.helpers.openr1_rows import local_source


def turns_of(*turns: str) -> list[dict[str, Any]]:
    """Return messages from texts such as "user: Why?"."""
    return [dict(zip(("role", "content"), turn.split(": ", 1), strict=True)) for turn in turns]


CHATS = (
    turns_of("system: Answer in French.", "user: What is 2 + 2?", "assistant: 4", "user: Why?"),
    turns_of("user: What is 3 + 3?", "assistant: 6", "user: Why?"),
    turns_of("system: Answer in German.", "user: Why?"),
    turns_of("user: Why?"),
)


def write_table(path: Path, rows: list[dict[str, Any]]) -> DataSource:
    """Write Parquet, CSV or JSONL by the suffix of the path."""
    if path.suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(path)
    elif path.suffix == ".csv":
        pl.DataFrame(rows).write_csv(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return local_source(path)


def problems_params(**changes: Any) -> ProblemsParams:
    defaults = {"overlap_words": None, "sample": None, "seed": 1}
    return ProblemsParams(**{**defaults, **changes})


def build_from_sources(**source: Any) -> pl.DataFrame:
    """Return the problems of sources, each given by its name and its fields."""
    sources = {name: ProblemSource(**fields) for name, fields in source.items()}
    return build_problems(problems_params(sources=sources), {})[0]


def table_source(data: DataSource, **columns: Any) -> ProblemSource:
    return ProblemSource(table=TableProblems(data=data, **columns))


def build_from_table(
    data: DataSource, questions: dict[str, pl.DataFrame] | None = None, **changes: Any
) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Return the problems and counts of a table with a column `prompt` and no gold answers."""
    table = TableProblems(data=data, statement="prompt", gold_answer=None)
    source = ProblemSource(table=table, **changes)
    problems, _, counts = build_problems(problems_params(sources={"mine": source}), questions or {})
    return problems, counts


def recording_params(data: DataSource, **changes: Any) -> ModelParams:
    defaults: dict[str, Any] = {"statement": "q", "text": "t", "outcome": None, "where": {}}
    table = TableTraces(data=data, **{**defaults, **changes})
    return ModelParams(recording=RecordingSource(source="mine", table=table))
