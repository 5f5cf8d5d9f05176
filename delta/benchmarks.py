"""Benchmarks: named sets of questions with gold answers that no training problem may contain."""

import hashlib
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from delta import tasks
from delta.tasks import TaskParams


class BenchmarkParams(TaskParams):
    group: Literal["easy", "hard", "other"]  # in domain, in domain but harder, out of domain
    samples: Annotated[int, Field(ge=1)]  # answers a question (avg@samples)


class Question(NamedTuple):
    question_id: str
    statement: str
    gold_answer: str


def questions(name: str, params: BenchmarkParams) -> list[Question]:
    """The benchmark's questions, each statement once."""
    rows: dict[str, Question] = {}
    for index, row in enumerate(tasks.draw(f"benchmarks.{name}", params)):
        question = Question(f"{name}.{index}", row["statement"], row["gold_answer"])
        rows.setdefault(tasks.normal(question.statement), question)
    return list(rows.values())


def version(params: BenchmarkParams, asked: list[Question]) -> str:
    """What stands beside every score: source, seed, and a digest of the questions themselves."""
    text = "\n".join(f"{row.question_id} {row.statement} {row.gold_answer}" for row in asked)
    return f"{tasks.version(params)} {hashlib.sha256(text.encode()).hexdigest()[:8]}"


def statements(benchmarks: dict[str, BenchmarkParams]) -> dict[str, Any]:
    """Normal form of every benchmark statement → the benchmark it belongs to."""
    return {
        tasks.normal(question.statement): name
        for name, params in benchmarks.items()
        for question in questions(name, params)
    }
