"""Problems and questions that a `reasoning-gym` task generates from a seed."""

import difflib
import importlib.metadata
import importlib.util
import json
import sys
import types
from typing import Annotated, Any, Literal

from pydantic import Field

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.types import Row


class Task(StrictModel):
    """A task of reasoning-gym, which makes any number of problems from a seed."""

    task: str
    seed: Annotated[int, Field(ge=0)]
    options: dict[str, int | float | bool | str | list[str]]  # the task's own difficulty settings

    @property
    def version(self) -> str:
        """Return all that determines the problems except the options: package, task and seed."""
        package = importlib.metadata.version("reasoning-gym")
        return f"reasoning-gym {package} {self.task} seed {self.seed}"


class TaskParams(Task):
    """Problems of a task. A larger number keeps the problems of a smaller one."""

    problems: Annotated[int, Field(ge=1)]


class TaskSource(Task):
    """A benchmark of generated questions."""

    format: Literal["task"]


def generate_problems(key: str, params: Task, number: int) -> list[Row]:
    """Return `number` rows with statement, gold_answer, source, domain and metadata (JSON).

    Raises InputError for an unknown task or option.
    """
    reasoning_gym, tasks = _import_reasoning_gym()
    if params.task not in tasks:
        similar = difflib.get_close_matches(params.task, tasks)
        raise InputError(
            f"{key}.task = {params.task!r}: no such reasoning-gym task; expected one of "
            f"{', '.join(sorted(similar or tasks))}"
        )
    try:
        dataset = reasoning_gym.create_dataset(
            params.task, seed=params.seed, size=number, **params.options
        )
        items = [dataset[index] for index in range(number)]
    except (TypeError, AssertionError, ValueError) as error:
        raise InputError(f"{key}.options = {params.options}: {error}") from error
    source = params.version
    return [
        {
            "statement": item["question"],
            "gold_answer": item["answer"],
            "source": source,
            "domain": params.task,
            "metadata": json.dumps(item["metadata"], sort_keys=True, default=str),
        }
        for item in items
    ]


def _import_reasoning_gym() -> tuple[Any, set[str]]:
    """Return the package and the names of its tasks.

    The package imports pycosat, but needs it for its zebra puzzles only. pycosat is published as C
    source, so installing it needs a compiler. An empty module of that name replaces it during the
    import, and no longer, because sympy would take it for a solver. This can go once reasoning-gym
    imports pycosat where it is used, or pycosat is published as a wheel.
    """
    is_missing = importlib.util.find_spec("pycosat") is None
    if is_missing:
        sys.modules["pycosat"] = types.ModuleType("pycosat")
    try:
        import reasoning_gym
        from reasoning_gym.factory import DATASETS
    finally:
        if is_missing:
            del sys.modules["pycosat"]
    return reasoning_gym, set(DATASETS) - ({"zebra_puzzles"} if is_missing else set())
