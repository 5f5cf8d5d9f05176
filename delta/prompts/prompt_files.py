"""Load prompts, one file each. Templates are `string.Template`, since LaTeX is full of braces."""

from functools import cache
from pathlib import Path
from string import Template
from typing import NamedTuple

import yaml

from delta.core.schemas import Message

FOLDER = Path(__file__).parent


class WorkedExample(NamedTuple):
    """A problem and its solution, shown to a base model before the problem that it is to solve."""

    problem: str
    solution: str


@cache
def text(name: str) -> str:
    """Return the text of the prompt file `name`, without the line ends at its end."""
    return (FOLDER / name).read_text(encoding="utf-8").rstrip("\n")


def template(name: str) -> Template:
    """Return the prompt file `name` as a template with $fields."""
    return Template(text(name))


@cache
def worked_examples() -> tuple[WorkedExample, ...]:
    """Return all worked examples, in their order in a conversation."""
    return tuple(WorkedExample(**row) for row in yaml.safe_load(text("worked_examples.yaml")))


def with_instruction(statement: str) -> str:
    """Return the paper's instruction, a blank line, and the problem (section 3.1)."""
    return f"{text('instruction.txt')}\n\n{statement}"


def worked_example_turns(number: int) -> list[Message]:
    """Return the first `number` worked examples as earlier turns of a conversation."""
    turns = []
    for example in worked_examples()[:number]:
        turns.append({"role": "user", "content": with_instruction(example.problem)})
        turns.append({"role": "assistant", "content": example.solution})
    return turns
