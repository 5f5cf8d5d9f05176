"""Arithmetic problems whose steps are known, generated from a seed.

    expression  What is 6 + 1 + 4?
    product     What is 3 * 4 + 5?
    words       Start with 5. Add 4. Subtract 2. What is the result?
    story       Ann has 5 pens. Ann gets 4 more. Ann gives 2 away. How many pens does Ann have now?
    sequence    What is the next number: 3, 7, 11, 15?

No result is below zero. The steps stand in the metadata (delta.data.steps).
"""

import json
import random
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.types import Row
from delta.data.steps import Step, canonical_terms, to_step

NAMES = ("Ann", "Ben", "Eva", "Mia", "Sam", "Tom")
THINGS = ("apple", "book", "card", "coin", "pen", "shell")
MAX_TERMS = 20
MAX_REPEATS = 10_000  # draws in a row without a new problem: there are hardly any more
FEWEST_TERMS = {"expression": 2, "product": 3, "words": 2, "story": 2, "sequence": 3}


class Options(StrictModel):
    """The difficulty of a kind's problems."""

    # Numbers in the statement. `product` multiplies the first two.
    terms: Annotated[int, Field(ge=2, le=MAX_TERMS)]
    operators: Literal["+", "-", "+-"]  # of a sequence: whether it rises, falls, or either
    lowest: Annotated[int, Field(ge=0)]  # number; of a sequence, its first and its difference
    highest: Annotated[int, Field(ge=1, le=1_000_000)]

    @model_validator(mode="after")
    def _is_range(self) -> Self:
        if self.highest < self.lowest:
            raise ValueError(f"highest is below lowest ({self.lowest})")
        return self


class Arithmetic(StrictModel):
    """What determines the problems."""

    kind: Literal["expression", "product", "words", "story", "sequence"]
    seed: Annotated[int, Field(ge=0)]
    options: Options

    @model_validator(mode="after")
    def _has_enough_terms(self) -> Self:
        if self.options.terms < FEWEST_TERMS[self.kind]:
            raise ValueError(
                f"options.terms is {self.options.terms}; expected at least "
                f"{FEWEST_TERMS[self.kind]} for kind {self.kind}"
            )
        return self

    @property
    def version(self) -> str:
        """Return all that determines the problems except the options."""
        return f"arithmetic {self.kind} seed {self.seed}"


class ArithmeticParams(Arithmetic):
    """Problems to learn from. A larger number keeps the problems of a smaller one."""

    problems: Annotated[int, Field(ge=1)]


class ArithmeticSource(Arithmetic):
    """A benchmark of arithmetic questions."""

    format: Literal["arithmetic"]


class Problem(NamedTuple):
    """A statement and the steps to its answer."""

    statement: str
    steps: list[Step]


def generate_problems(key: str, params: Arithmetic, number: int) -> list[Row]:
    """Return `number` rows with statement, gold_answer, source, domain and metadata (JSON).

    No two of them have the same terms, also in another order. Raises InputError where there are
    not so many.
    """
    rng = random.Random(f"{params.kind} {params.seed}")
    problems: dict[str, Problem] = {}
    repeats = 0
    while len(problems) < number and repeats < MAX_REPEATS:
        problem = _KINDS[params.kind](params.options, rng)
        terms = None if problem is None else canonical_terms(problem.steps)
        if problem is None or terms is None or terms in problems:
            repeats += 1
            continue
        problems[terms] = problem
        repeats = 0
    if len(problems) < number:
        raise InputError(
            f"{key}.options = {params.options.model_dump()}: {len(problems)} different problems of "
            f"kind {params.kind} were found, {number} are asked for; expected a wider range of "
            "numbers, more terms, or fewer problems"
        )
    return [_to_row(params, problem) for problem in problems.values()]


def _to_row(params: Arithmetic, problem: Problem) -> Row:
    metadata = {"kind": params.kind, "steps": [list(step) for step in problem.steps]}
    return {
        "statement": problem.statement,
        "gold_answer": str(problem.steps[-1].result),
        "source": params.version,
        "domain": params.kind,
        "metadata": json.dumps(metadata, sort_keys=True),
    }


def _draw_numbers(options: Options, number: int, rng: random.Random) -> list[int]:
    return [rng.randint(options.lowest, options.highest) for _ in range(number)]


def _draw_steps(first: Step | int, number: int, options: Options, rng: random.Random) -> list[Step]:
    """Return steps that add or subtract `number` drawn numbers, after the step or number `first`.

    The list begins with `first` where that is a step.
    """
    steps = [first] if isinstance(first, Step) else []
    value = first.result if isinstance(first, Step) else first
    for right in _draw_numbers(options, number, rng):
        steps.append(to_step(value, rng.choice(options.operators), right))
        value = steps[-1].result
    return steps


def _chain(options: Options, rng: random.Random) -> list[Step] | None:
    """Return the steps of a sum or difference; None where a result is below zero."""
    (first,) = _draw_numbers(options, 1, rng)
    steps = _draw_steps(first, options.terms - 1, options, rng)
    return None if any(step.result < 0 for step in steps) else steps


def _expression_text(steps: list[Step]) -> str:
    return f"{steps[0].left} " + " ".join(f"{step.operator} {step.right}" for step in steps)


def _expression(options: Options, rng: random.Random) -> Problem | None:
    steps = _chain(options, rng)
    return None if steps is None else Problem(f"What is {_expression_text(steps)}?", steps)


def _product(options: Options, rng: random.Random) -> Problem | None:
    left, right = _draw_numbers(options, 2, rng)
    steps = _draw_steps(to_step(left, "*", right), options.terms - 2, options, rng)
    if any(step.result < 0 for step in steps):
        return None
    return Problem(f"What is {_expression_text(steps)}?", steps)


def _words(options: Options, rng: random.Random) -> Problem | None:
    steps = _chain(options, rng)
    if steps is None:
        return None
    verbs = {"+": "Add", "-": "Subtract"}
    parts = [f"{verbs[step.operator]} {step.right}." for step in steps]
    return Problem(" ".join([f"Start with {steps[0].left}.", *parts, "What is the result?"]), steps)


def _story(options: Options, rng: random.Random) -> Problem | None:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    steps = _chain(options, rng)
    if steps is None:
        return None
    verbs = {"+": "{} gets {} more.", "-": "{} gives {} away."}
    parts = [verbs[step.operator].format(name, step.right) for step in steps]
    first = steps[0].left
    start = f"{name} has {first} {thing if first == 1 else thing + 's'}."
    question = f"How many {thing}s does {name} have now?"
    return Problem(" ".join([start, *parts, question]), steps)


def _sequence(options: Options, rng: random.Random) -> Problem | None:
    first, difference = _draw_numbers(options, 2, rng)
    operator = rng.choice(options.operators)
    signed = difference if operator == "+" else -difference
    numbers = [first + index * signed for index in range(options.terms)]
    last = numbers[-1]
    # Where the last number is the difference, its step would not say which of them is which.
    if difference == 0 or last + signed < 0 or last == difference:
        return None
    larger, smaller = max(numbers[:2]), min(numbers[:2])
    steps = [to_step(larger, "-", smaller), to_step(last, operator, difference)]
    return Problem(f"What is the next number: {', '.join(map(str, numbers))}?", steps)


_KINDS: dict[str, Callable[[Options, random.Random], Problem | None]] = {
    "expression": _expression,
    "product": _product,
    "words": _words,
    "story": _story,
    "sequence": _sequence,
}
