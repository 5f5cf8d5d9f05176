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
from delta.judging.rules.equations import Equation, Operation, flat_operations
from delta.judging.rules.quantities import number_tokens
from delta.judging.rules.tokenize import read_items

MAX_STATEMENT = 2000  # characters; longer statements are not instructions


class Expected(NamedTuple):
    """The operations that a statement asks for."""

    operations: tuple[Operation, ...]  # of every number, a start counted as added
    signs: Counter[str]  # of the steps
    is_sequence: bool = False  # not every number of the statement is an operand


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
    wanted: dict[Fraction, set[str]] = {}
    for sign, value in expected.operations:
        wanted.setdefault(value, set()).add(sign)
    used: Counter[str] = Counter()
    wrong: list[int] = []
    last: Fraction | None = None
    for index, equation in enumerate(equations):
        steps = equation.operations[1:]
        used.update(sign for sign, _ in steps)
        if any(
            value != last and sign not in wanted.get(value, {sign}) for sign, value in steps
        ) and not _repeats_one_number(equation):
            wrong.append(index)
        last = equation.stated
    excess = sum(max(0, number - expected.signs[sign]) for sign, number in used.items())
    # A number that is not the problem's has no wanted operation; the counts of signs show it.
    candidates = [
        index
        for index, equation in reversed(list(enumerate(equations)))
        if index not in wrong
        and not _repeats_one_number(equation)
        and any(used[sign] > expected.signs[sign] for sign, _ in equation.operations[1:])
    ]
    return sorted(wrong + candidates[: max(0, excess - len(wrong))])


def count_missing(expected: Expected, equations: list[Equation]) -> int | None:
    """Return how many of the operations are not shown; None if an equation is not flat."""
    if not all(equation.operations for equation in equations):
        return None
    shown = sum(len(equation.operations) - 1 for equation in equations)
    return max(0, expected.signs.total() - shown) if shown else None


def _repeats_one_number(equation: Equation) -> bool:
    """Return whether it adds one number to itself, another way to multiply: 4 + 4 + 4."""
    signs = {sign for sign, _ in equation.operations[1:]}
    return signs == {"+"} and len(set(equation.operands)) == 1


def _of_sequence(statement: str) -> Expected | None:
    """Read "What is the next number: 3, 7, 11?": a difference, and a step by it."""
    match = _SEQUENCE.search(statement)
    numbers = [int(text) for text in match[1].split(",")] if match else []
    differences = {after - before for before, after in pairwise(numbers)}
    if len(differences) != 1:
        return None
    sign = "+" if differences.pop() > 0 else "-"
    return Expected((), Counter("-") + Counter(sign), is_sequence=True)


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
    operations = _with_start(flat) if flat else ()
    return Expected(operations, Counter(signs))


def _between_numbers(items: list[Item]) -> list[Item]:
    places = [index for index, item in enumerate(items) if item.kind == "number"]
    return items[places[0] : places[-1] + 1] if places else []


def _with_start(flat: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """Give the first number a sign: multiplied if the next is, else added."""
    signs = [sign for sign, _ in flat]
    whole = []
    for index, (sign, value) in enumerate(flat):
        following = signs[index + 1] if index + 1 < len(signs) else ""
        whole.append(("*" if following == "*" and sign != "/" else sign or "+", value))
    return tuple(whole)


def _of_sentences(statement: str) -> Expected | None:
    """Read instructions and stories, a sentence at a time; one that we do not know ends it."""
    *sentences, question = _SENTENCE.split(statement.strip())
    if not _ASKS_RESULT.fullmatch(question.strip()) or len(number_tokens(question)):
        return None
    operations: list[Operation] = []
    signs: Counter[str] = Counter()
    for sentence in sentences:
        values, join = _of_sentence(sentence.strip(), is_first=not operations)
        if not values:
            return None
        if len(values) == 2:
            signs["*"] += 1
            operations += [("*", value) for value in values]
        else:
            operations.append((join, values[0]))
        if len(operations) > len(values):
            signs[join] += 1
    return Expected(tuple(operations), signs) if signs else None


def _of_sentence(sentence: str, *, is_first: bool) -> tuple[list[Fraction], str]:
    """Return the sentence's numbers, and the sign of what it does; no number if it is unknown."""
    if _GROUPS.fullmatch(sentence) and len(values := number_tokens(sentence)) == 2:
        return values, "+"
    for sign, pattern in _SENTENCES:
        if pattern.fullmatch(sentence) and len(values := number_tokens(sentence)) == 1:
            is_known = (sign == "start") == is_first or sign == "+"
            return (values if is_known else []), "+" if sign == "start" else sign
    return [], ""
