r"""TheoremQA's answers: the last box, compared by the rule of the answer's type.

The gold answer is JSON: {"answer_type": TYPE, "answer": ANSWER}, the answer typed or as the string
that the hub holds ("True", "[1, 2]", "(a)").
- integer: the number in the box rounds to it
- float: within 4 % of it; a gold of zero asks for zero
- list of integer, list of float: as many numbers, each by its rule, in any order
- bool: true or yes, false or no
- option: the letter

A percentage may stand with or without its hundredth; units are not compared.
"""

import json
import re
from fractions import Fraction
from typing import Any

from delta.graders import Verdict
from delta.graders.choice import letter_of_option
from delta.graders.readings import Number, cleaned, formula, last_box, number, without_name, words

WITHIN = Fraction(4, 100)  # of a float gold
ZERO = Fraction(1, 10**9)  # from a float gold of zero
TRUE, FALSE = ("true", "yes"), ("false", "no")
BRACKETS = (("(", ")"), ("[", "]"), (r"\{", r"\}"), ("{", "}"), (r"\langle", r"\rangle"))
MATRIX = re.compile(r"\\(?:begin|end)\{[a-z]*(?:matrix|array)\}(?:\{[lcr|]*\})?")

Gold = bool | str | list[Fraction]


def grade(gold_answer: str, answer: str | None, finish_reason: str) -> Verdict:
    if not gold_answer.strip():
        return Verdict("ungradable", None, "empty_gold")
    extracted = None if answer is None else last_box(answer)
    if extracted is None:
        cut = answer is None or finish_reason == "length"
        return Verdict("incorrect", None, "cut" if cut else "no_box")
    try:
        kind, gold = gold_of(gold_answer)
    except (ValueError, ZeroDivisionError):
        return Verdict("ungradable", extracted, "unparsable_gold")
    if not re.search(r"\w", extracted):
        return Verdict("incorrect", extracted, "empty_box")
    same = _is_same(kind, gold, extracted)
    if same is None:
        return Verdict("ungradable", extracted, "unparsable_answer")
    if same:
        return Verdict("correct", extracted, None)
    return Verdict("incorrect", extracted, "different")


def gold_of(text: str) -> tuple[str, Gold]:
    """The type, and the answer as truth value, letter or numbers; ValueError where it is none."""
    content = json.loads(text)
    if not isinstance(content, dict) or set(content) != {"answer_type", "answer"}:
        raise ValueError("a gold answer is {answer_type, answer}")
    kind, answer = content["answer_type"], content["answer"]
    match kind:
        case "bool":
            if str(answer).strip().lower() not in TRUE + FALSE:
                raise ValueError(f"{answer!r} is no bool")
            return kind, str(answer).strip().lower() in TRUE
        case "option":
            found = letter_of_option(str(answer))
            if not found:
                raise ValueError(f"{answer!r} is no option")
            return kind, found
        case "integer" | "float" | "list of integer" | "list of float":
            values = json.loads(answer) if isinstance(answer, str) else answer
            numbers = values if isinstance(values, list) else [values]
            if kind.startswith("list") != isinstance(values, list) or not numbers:
                raise ValueError(f"{answer!r} is no {kind}")
            return kind, [_fraction(value) for value in numbers]
    raise ValueError(f"answer_type {kind!r}")


def _fraction(value: Any) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return Fraction(str(value))


def _is_same(kind: str, gold: Gold, extracted: str) -> bool | None:
    """None: the box holds mathematics that does not parse."""
    if isinstance(gold, bool):
        return _truth(extracted) == gold
    if isinstance(gold, str):
        return letter_of_option(extracted) == gold
    answer = cleaned(extracted)
    parts = _parts(answer) if kind.startswith("list") else [answer]
    numbers = [number(part) for part in parts]
    found = [each for each in numbers if each is not None]
    if len(found) < len(numbers):
        return None if any(map(_is_unread, parts, numbers)) else False
    if kind.endswith("integer"):
        return _match_up(gold, found, lambda one, other: abs(one - other) < Fraction(1, 2))
    return _match_up(
        gold, found, lambda one, other: abs(one - other) <= (abs(one) * WITHIN or ZERO)
    )


def _match_up(gold: list[Fraction], found: list[Number], is_near: Any) -> bool:
    """Whether sorted numbers agree one by one; percentages with or without their hundredth."""
    if len(gold) != len(found):
        return False
    written = sorted(each.value for each in found)
    scaled = sorted(each.value * each.scale for each in found)
    return any(all(map(is_near, sorted(gold), values)) for values in (written, scaled))


def _is_unread(part: str, number_: Number | None) -> bool:
    return number_ is None and bool(part) and not words(part) and formula(part) is None


def _truth(extracted: str) -> bool | None:
    first = re.match(r"\W*(\w+)", re.sub(r"\\[a-zA-Z]+\s*\{|\\[a-zA-Z]+", " ", extracted))
    word = first[1].lower() if first else ""
    return True if word in TRUE else False if word in FALSE else None


def _parts(answer: str) -> list[str]:
    r"""The members of a list: "[1, 2]", "\{1, 2\}", "x = 1, y = 2", "1 and 2", a matrix."""
    text = re.sub(r"\\(?:left|right)(?![a-z])", "", without_name(answer)).strip()
    text = re.sub(r"\\\\|&|;", ",", MATRIX.sub("", text)) if MATRIX.search(text) else text
    text = re.sub(r"\\(?:text|mathrm)\s*\{\s*,?\s*(?:and|or)\s*\}|\b(?:and|or)\b", ",", text)
    for opening, closing in BRACKETS:
        if text.startswith(opening) and text.endswith(closing):
            text = text[len(opening) : -len(closing)]
            break
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(character, 0)
        if character == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]
