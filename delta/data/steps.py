"""The steps of an arithmetic problem, and a form that is equal where only the order differs.

The steps stand in a problem's metadata (JSON) under `steps`: [[left, operator, right, result], …].
The last result is the answer. An operand that is an earlier step's result stands for that step.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

_OPERATIONS = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}
_OPPOSITE = {"+": "-", "-": "+"}

_Term = tuple[str, tuple[str, ...]]  # its sign, and its factors in order


class Step(NamedTuple):
    """One calculation with whole numbers."""

    left: int
    operator: str  # +, - or *
    right: int
    result: int

    @property
    def text(self) -> str:
        """Return the line of a worked solution: `6 + 1 = 7`."""
        return f"{self.left} {self.operator} {self.right} = {self.result}"


class Operands(NamedTuple):
    """For each operand the index of the step whose result it is; None: the problem gives it."""

    left: int | None
    right: int | None


def calculate(left: int, operator: str, right: int) -> int:
    """Return the result of one calculation."""
    return _OPERATIONS[operator](left, right)


def to_step(left: int, operator: str, right: int) -> Step:
    """Return the step with its right result."""
    return Step(left, operator, right, calculate(left, operator, right))


def read_steps(metadata: str) -> list[Step] | None:
    """Return the steps in a row's `metadata` (JSON); None where it has none of this form."""
    content = json.loads(metadata)
    rows = content.get("steps") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not rows or not all(map(_is_step, rows)):
        return None
    return [Step(*row) for row in rows]


def _is_step(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 4 or row[1] not in ("+", "-", "*"):
        return False
    if any(type(number) is not int for number in (row[0], row[2], row[3])):
        return False
    left, operator, right, result = row
    return calculate(left, operator, right) == int(result)


def find_operands(steps: Sequence[Step]) -> list[Operands]:
    """Return for each step which earlier results it uses. Each result is used once at most."""
    unused: list[int] = []
    operands = []
    for number, step in enumerate(steps):
        found: list[int | None] = []
        for value in (step.left, step.right):
            index = next((i for i in reversed(unused) if steps[i].result == value), None)
            if index is not None:
                unused.remove(index)
            found.append(index)
        operands.append(Operands(*found))
        unused.append(number)
    return operands


def canonical_terms(steps: Sequence[Step]) -> str:
    """Return the terms of the last result, sorted; the factors of each are sorted too."""
    terms: list[list[_Term]] = []
    for step, operands in zip(steps, find_operands(steps), strict=True):
        left = _terms_of_operand(step.left, operands.left, terms)
        right = _terms_of_operand(step.right, operands.right, terms)
        terms.append(_combine(left, step.operator, right))
    return _to_text(terms[-1])


def _terms_of_operand(value: int, index: int | None, terms: list[list[_Term]]) -> list[_Term]:
    return [("+", (str(value),))] if index is None else terms[index]


def _combine(left: list[_Term], operator: str, right: list[_Term]) -> list[_Term]:
    if operator == "*":
        return [("+", tuple(sorted((*_factors(left), *_factors(right)))))]
    if operator == "-":
        right = [(_OPPOSITE[sign], factors) for sign, factors in right]
    return left + right


def _factors(terms: list[_Term]) -> tuple[str, ...]:
    if len(terms) == 1 and terms[0][0] == "+":
        return terms[0][1]
    return (f"({_to_text(terms)})",)


def _to_text(terms: list[_Term]) -> str:
    return " ".join(sign + "*".join(factors) for sign, factors in sorted(terms))
