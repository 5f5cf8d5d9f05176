"""Questions that a `reasoning-gym` task generates."""

import json
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from delta import prompts
from delta.core.params import StrictModel
from delta.core.types import Row
from delta.data import reasoning_gym
from delta.data.formats import Question
from delta.data.reasoning_gym import TaskParams

OVERDRAW = 5


class TaskSource(StrictModel):
    format: Literal["task"]
    task: str
    seed: Annotated[int, Field(ge=0)]
    options: dict[str, int | float | bool | str | list[str]]  # the task's own difficulty settings

    def task_params(self, problems: int) -> TaskParams:
        return TaskParams(task=self.task, seed=self.seed, problems=problems, options=self.options)


def rows(key: str, source: TaskSource, questions: int) -> Iterator[Row]:
    """More than `questions`: small tasks repeat themselves, and each question is asked once."""
    yield from reasoning_gym.generate_problems(key, source.task_params(OVERDRAW * questions))


def question(row: Row) -> Question:
    statement = row["statement"]
    metadata = json.loads(row["metadata"])
    return Question(
        statement, prompts.with_instruction(statement), row["gold_answer"], "math", metadata
    )
