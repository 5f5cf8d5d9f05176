"""The tables of a simulated run with as many pairs as wanted, and its pair viewer."""

import random
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from delta.core import tables
from delta.core.schemas import PROBLEM, RATING, SELECTED, TRACE, VERDICT
from delta.core.tables import frame_of
from delta.core.types import Counts
from delta.judging.rubric import DIMENSIONS
from delta.report.viewer import pair_page

SIDES = {"strong": "chosen", "weak": "rejected"}
WORDS = [
    "let",
    "us",
    "then",
    "number",
    "so",
    "that",
    "value",
    "where",
    "equation",
    "because",
    "sum",
    "hence",
    "ratio",
    "check",
]
FORMULAS = (
    r"\(x^2 + y^2 = z^2\)",
    r"\[ \frac{a}{b} = \sqrt{c} \]",
    r"$\sum_{i=1}^{n} i$",
    r"\boxed{12}",
)


def prose(source: random.Random, characters: int) -> str:
    parts: list[str] = []
    length = 0
    while length < characters:
        if source.random() < 0.05:
            part = source.choice(FORMULAS)
        elif source.random() < 0.3:
            part = str(source.randrange(10**6))
        else:
            part = source.choice(WORDS)
        parts.append(part)
        length += len(part) + 1
    return " ".join(parts)


def write_simulated_run(folder: Path, pairs: int, characters: int) -> None:
    """Write the tables of a run with so many pairs, with one trace per generator and problem."""
    source = random.Random(1)
    problems = [
        {
            "problem_id": f"p.{number}",
            "statement": prose(source, 300),
            "history": [],
            "gold_answer": "12",
            "source": "simulated",
            "domain": "d",
            "metadata": "{}",
        }
        for number in range(pairs)
    ]
    tables.write(folder / "problems.parquet", frame_of(problems, PROBLEM), PROBLEM)
    for name in SIDES:
        write_traces(folder / f"{name}.parquet", source, name, pairs, characters)
    ids = [f"p.{number}/{name}/0" for name in SIDES for number in range(pairs)]
    verdicts = [
        {"trace_id": trace_id, "outcome": "correct", "extracted": "12", "decided_by": "grader"}
        for trace_id in ids
    ]
    tables.write(folder / "verdicts.parquet", frame_of(verdicts, VERDICT), VERDICT)
    ratings = pl.concat(frame_of(rows, RATING) for rows in rating_batches(source, ids))
    tables.write(folder / "ratings.parquet", ratings, RATING)
    selected = [pair_row(number, source) for number in range(pairs)]
    deltas = {f"delta_{name}": pl.Float64 for name in DIMENSIONS}
    schema = {**SELECTED.columns, **deltas, "score": pl.Float64}
    tables.write(folder / "selected.parquet", pl.DataFrame(selected, schema=schema), SELECTED)


def write_traces(path: Path, source: random.Random, name: str, pairs: int, characters: int) -> None:
    """Write the traces in batches. All texts differ: 50 are drawn, and their words shuffled."""
    schema = frame_of([], TRACE).to_arrow().schema
    stock = [prose(source, characters) for _ in range(50)]
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for start in range(0, pairs, 500):
            numbers = range(start, min(pairs, start + 500))
            texts = [shuffled(source, stock[number % 50]) for number in numbers]
            rows = [
                {
                    "trace_id": f"p.{number}/{name}/0",
                    "problem_id": f"p.{number}",
                    "generator": name,
                    "sample": 0,
                    "text": text,
                    "reasoning_start": 0,
                    "reasoning_end": len(text) - 100,
                    "answer_start": len(text) - 100,
                    "finish_reason": "stop",
                    "completion_tokens": characters // 3,
                }
                for number, text in zip(numbers, texts, strict=True)
            ]
            file.write_table(frame_of(rows, TRACE).to_arrow().cast(schema))


def shuffled(source: random.Random, text: str) -> str:
    words = text.split(" ")
    source.shuffle(words)
    return " ".join(words)


def rating_batches(source: random.Random, ids: list[str]) -> Iterator[list[dict[str, object]]]:
    for start in range(0, len(ids), 1000):
        yield [
            {
                "trace_id": trace_id,
                "judge": "simulated",
                "dimension": dimension,
                "votes": [source.randint(1, 5) for _ in range(5)],
                "refused": 0,
                "justification": prose(source, 120),
                "deductions": ["unjustified leaps"],
            }
            for trace_id in ids[start : start + 1000]
            for dimension in DIMENSIONS
        ]


def pair_row(number: int, source: random.Random) -> dict[str, object]:
    ids = {side: f"p.{number}/{name}/0" for name, side in SIDES.items()}
    deltas = {f"delta_{name}": round(source.uniform(-4, 4), 1) for name in DIMENSIONS}
    return {
        "pair_id": f"{ids['chosen']}>{ids['rejected']}",
        "problem_id": f"p.{number}",
        "chosen_id": ids["chosen"],
        "rejected_id": ids["rejected"],
        "chosen_outcome": "correct",
        "rejected_outcome": "correct",
        "length_difference": 0,
        "recipe": "strong > weak",
        "rank": number + 1,
        "selected": True,
        "why": "selected",
        **deltas,
        "score": deltas["delta_factuality"],
    }


def write_viewer(folder: Path) -> Counts:
    """Write the pair viewer of a simulated run to `folder`/pairs."""
    frames = {
        name: tables.read(folder / f"{name}.parquet", table)
        for name, table in (
            ("selected", SELECTED),
            ("problems", PROBLEM),
            ("verdicts", VERDICT),
            ("ratings", RATING),
        )
    }
    traces = [tables.scan(folder / f"{name}.parquet", TRACE) for name in SIDES]
    run = pair_page.RunSummary("strong > weak", "strong", "weak", "all", "factuality")
    return pair_page.write(folder / "pairs", run, traces=traces, **frames)
