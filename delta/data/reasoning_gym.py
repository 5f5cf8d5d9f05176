"""Problems that a `reasoning-gym` task generates: any number, verifiable, the same for a seed."""

import difflib
import importlib.metadata
import importlib.util
import json
import sys
import types
from typing import Annotated, Any

from pydantic import Field

from delta.core.errors import InputError
from delta.core.params import StrictModel


class TaskParams(StrictModel):
    """A task by name, difficulty and seed. More problems keep those there were."""

    task: str
    seed: Annotated[int, Field(ge=0)]
    problems: Annotated[int, Field(ge=1)]
    options: dict[str, int | float | bool | str | list[str]]  # the task's own difficulty settings


def generate_problems(name: str, params: TaskParams) -> list[dict[str, Any]]:
    """Rows with statement, gold_answer and metadata. InputError for an unknown task or option."""
    reasoning_gym, known = _package()
    if params.task not in known:
        near = difflib.get_close_matches(params.task, known)
        raise InputError(
            f"{name}.task = {params.task!r}: no such reasoning-gym task; allowed: "
            f"{', '.join(sorted(near or known))}"
        )
    try:
        dataset = reasoning_gym.create_dataset(
            params.task, seed=params.seed, size=params.problems, **params.options
        )
        items = [dataset[index] for index in range(params.problems)]
    except (TypeError, AssertionError, ValueError) as error:
        raise InputError(f"{name}.options = {params.options}: {error}") from error
    return [
        {
            "statement": item["question"],
            "gold_answer": item["answer"],
            "metadata": json.dumps(item["metadata"], sort_keys=True, default=str),
        }
        for item in items
    ]


def _package() -> tuple[Any, set[str]]:
    """reasoning_gym and its tasks, imported without pycosat.

    pycosat comes as C source only and serves no task but the zebra puzzles: with it, the set-up
    would need a compiler. An empty module stands in while the package is imported, no longer:
    sympy would take it for a solver.
    """
    missing = importlib.util.find_spec("pycosat") is None
    if missing:
        sys.modules["pycosat"] = types.ModuleType("pycosat")
    try:
        import reasoning_gym
        from reasoning_gym.factory import DATASETS
    finally:
        if missing:
            del sys.modules["pycosat"]
    return reasoning_gym, {name for name in DATASETS if not (missing and name == "zebra_puzzles")}


def task_version(params: TaskParams) -> str:
    package = importlib.metadata.version("reasoning-gym")
    return f"reasoning-gym {package} {params.task} seed {params.seed}"


def normal(statement: str) -> str:
    """A statement with case and white space evened out, for finding the same problem twice."""
    return " ".join(statement.casefold().split())
