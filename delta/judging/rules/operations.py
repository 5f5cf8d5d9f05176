"""Find the operations that a statement asks for, and those of a trace that differ from them.

A statement is compared only if every number in it has an operation that we can name: an expression
("What is 6 + 1 - 4?"), an instruction ("Subtract 2."), a change ("He gives 3 away.") or a count of
groups ("3 bags with 4 pens each"). Of any other statement the operations are unknown.
"""

import re
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from delta.judging.rules.arithmetic import Item
from delta.judging.rules.equations import Equation, flat_operations
from delta.judging.rules.quantities import number_tokens
from delta.judging.rules.step_alignment import CalculationStep, flat_steps, misaligned_equations
from delta.judging.rules.tokenize import read_items

MAX_STATEMENT = 2000  # characters; longer statements are not instructions


class Expected(NamedTuple):
    """The operations that a statement asks for."""

    steps: tuple[CalculationStep, ...]
    checks: tuple[CalculationStep, ...] = ()  # that a trace may show besides, of a sequence

    @property
    def is_sequence(self) -> bool:
        """Return whether not every number of the statement is an operand."""
        return bool(self.checks)

    @property
    def signs(self) -> Counter[str]:
        """Count the signs of the steps."""
        return Counter(step.sign for step in self.steps)


_SENTENCE = re.compile(
    r"(?<=[.!?;])\s+|\s*\n\s*|,? (?:and )?then (?=[a-z])|, (?=(?:add|subtract) )"
)
_WHO = r"(?:\w+|the \w+)"
_REST = r"(?:(?!(?:each|every|per|times|than|as|for|percent|half|twice)\b)[a-z]+ ?){0,5}"
_GAINS = (
    "add|adds|gets|got|receives|received|gains|finds|found|buys|bought|picks|picked|collects"
    "|collected|wins|won|earns|earned"
)
_LOSSES = (
    "subtract|subtracts|loses|lost|eats|ate|sells|sold|spends|spent|uses|used|breaks|broke|drops"
    "|dropped|donates|donated|removes|removed|take away|takes away"
)
# What a whole sentence says about its only number; the pattern of a number is filled in.
_SENTENCES = tuple(
    (sign, re.compile(pattern.replace("NUMBER", r"(\w+|\d+(?:\.\d+)?)"), re.IGNORECASE))
    for sign, pattern in (
        ("start", rf"(?:start|begin) with NUMBER\.?|{_WHO} (?:has|had) NUMBER {_REST}\.?"),
        ("start", rf"there (?:are|were) NUMBER {_REST}\.?"),
        ("+", rf"(?:{_WHO} )?(?:{_GAINS}) NUMBER ?{_REST}\.?"),
        ("-", rf"(?:{_WHO} )?(?:{_LOSSES}) NUMBER ?{_REST}\.?"),
        ("-", rf"{_WHO} (?:gives|gave) NUMBER (?:{_REST})?(?:away|to \w+)\.?"),
        ("-", rf"{_WHO} (?:gives|gave) away NUMBER ?{_REST}\.?"),
        ("*", r"multiply (?:by|it by|that by|the result by) NUMBER\.?"),
        ("/", r"divide (?:by|it by|that by|the result by) NUMBER\.?"),
    )
)
_GROUPS = re.compile(
    r"(?:there are|\w+ (?:has|had|buys|bought|gets|got)) (\w+) (?:[a-z]+ ){1,2}"
    r"(?:with|of|that hold|holding|containing) (\w+) (?:[a-z]+ ){1,2}(?:in )?each\.?",
    re.IGNORECASE,
)
_ASKS_RESULT = re.compile(r"what is the result\?|how (?:many|much) .*(?:\bnow|left|in all)\?", re.I)
_SEQUENCE = re.compile(r"\bnext (?:number|term)\b[^\d]{0,60}(\d{1,9}(?:,\s?\d{1,9}){2,19})", re.I)
_START = re.compile(r"\b(?:start|begin)s?\b|\b(?:has|have|had|is|are)\b", re.IGNORECASE)


def expected_operations(statement: str) -> Expected | None:
    """Return the operations that the statement asks for; None if they are unknown."""
    if len(statement) > MAX_STATEMENT:
        return None
    return _of_sequence(statement) or _of_expression(statement) or _of_sentences(statement)


def wrong_operations(expected: Expected, equations: list[Equation]) -> list[int]:
    """Return the indices of the equations whose operation is not one that was asked for."""
    return misaligned_equations([*expected.steps, *expected.checks], equations)


def count_missing(expected: Expected, equations: list[Equation]) -> int | None:
    """Return how many of the operations are not shown; None if an equation is not flat."""
    if not all(equation.operations for equation in equations):
        return None
    shown = sum(len(equation.operations) - 1 for equation in equations)
    return max(0, len(expected.steps) - shown) if shown else None


def _of_sequence(statement: str) -> Expected | None:
    """Read "What is the next number: 3, 7, 11?": a difference, and a step by it."""
    match = _SEQUENCE.search(statement)
    numbers = [int(text) for text in match[1].split(",")] if match else []
    differences = {after - before for before, after in pairwise(numbers)}
    if len(differences) != 1:
        return None
    sign = "+" if differences.pop() > 0 else "-"
    first, *checks = [
        CalculationStep("-", Fraction(max(pair)), Fraction(min(pair))) for pair in pairwise(numbers)
    ]
    steps = first, CalculationStep(sign, Fraction(numbers[-1]))
    return Expected(steps, tuple(checks))


def _of_expression(statement: str) -> Expected | None:
    """Read "What is 6 + 1 - 4?": all numbers of the statement are in one expression."""
    items = [item for item in read_items(statement.replace("\n", " ")) if item.kind != "break"]
    numbers = [item for item in items if item.kind == "number"]
    inner = _between_numbers(items)
    if len(numbers) < 2 or any(
        item.kind not in ("number", "operator", "open", "close") for item in inner
    ):
        return None
    signs = [item.text for item in inner if item.kind == "operator"]
    if len(signs) != len(numbers) - 1 or "^" in signs:
        return None
    flat = flat_operations(tuple(inner))
    return Expected(
        tuple(flat_steps(flat) or (CalculationStep(sign, is_known=False) for sign in signs))
    )


def _between_numbers(items: list[Item]) -> list[Item]:
    places = [index for index, item in enumerate(items) if item.kind == "number"]
    return items[places[0] : places[-1] + 1] if places else []


def _of_sentences(statement: str) -> Expected | None:
    """Read instructions and stories, a sentence at a time; one that we do not know ends it."""
    *sentences, question = _SENTENCE.split(statement.strip())
    if not _ASKS_RESULT.fullmatch(question.strip()) or len(number_tokens(question)):
        return None
    steps: list[CalculationStep] = []
    left: Fraction | None = None  # the first number, until a step uses it
    for index, sentence in enumerate(sentences):
        values, join = _of_sentence(sentence.strip(), is_first=index == 0)
        if not values:
            return None
        if len(values) == 2:
            steps.append(CalculationStep("*", values[0], values[1]))
        value = values[0] if len(values) == 1 else None
        if index == 0:
            left = value
        else:
            steps.append(CalculationStep(join, left, value))
            left = None
    return Expected(tuple(steps)) if steps else None


def _of_sentence(sentence: str, *, is_first: bool) -> tuple[list[Fraction], str]:
    """Return the sentence's numbers, and the sign of what it does; no number if it is unknown."""
    if _GROUPS.fullmatch(sentence) and len(values := number_tokens(sentence)) == 2:
        return values, "+"
    for sign, pattern in _SENTENCES:
        if pattern.fullmatch(sentence) and len(values := number_tokens(sentence)) == 1:
            is_known = (sign == "start") == is_first or sign == "+"
            return (values if is_known else []), "+" if sign == "start" else sign
    return [], ""
