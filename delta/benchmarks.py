"""Benchmarks: named sets of questions with gold answers that no training problem may contain."""

import hashlib
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from delta import tasks
from delta.errors import InputError
from delta.tasks import TaskParams

OVERDRAW = 5


class BenchmarkParams(TaskParams):
    group: Literal["easy", "hard", "other"]  # in domain, in domain but harder, out of domain
    samples: Annotated[int, Field(ge=1)]  # answers a question (avg@samples)


class Question(NamedTuple):
    question_id: str
    statement: str
    gold_answer: str


def questions(name: str, params: BenchmarkParams) -> list[Question]:
    """`size` questions, each statement once. InputError where the task has not so many."""
    # Small tasks repeat themselves: draw more, and keep the first of each.
    many = params.model_copy(update={"size": OVERDRAW * params.size})
    rows: dict[str, Question] = {}
    for index, row in enumerate(tasks.draw(f"benchmarks.{name}", many)):
        question = Question(f"{name}.{index}", row["statement"], row["gold_answer"])
        rows.setdefault(tasks.normal(question.statement), question)
    if len(rows) < params.size:
        raise InputError(
            f"benchmarks.{name}.size = {params.size}: {OVERDRAW * params.size} draws of the task "
            f"gave {len(rows)} different questions; allowed: 1 to {len(rows)}"
        )
    return list(rows.values())[: params.size]


def version(params: BenchmarkParams, asked: list[Question]) -> str:
    """What stands beside every score: source, seed, and a digest of the questions themselves."""
    text = "\n".join(f"{row.question_id} {row.statement} {row.gold_answer}" for row in asked)
    return f"{tasks.version(params)} {hashlib.sha256(text.encode()).hexdigest()[:8]}"


def statements(benchmarks: dict[str, BenchmarkParams]) -> dict[str, str]:
    """Normal form of every benchmark statement → the benchmark it belongs to."""
    return {
        tasks.normal(question.statement): name
        for name, params in benchmarks.items()
        for question in questions(name, params)
    }
