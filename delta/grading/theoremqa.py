r"""TheoremQA's answers: the last box, compared by the rule of the answer's type.

The gold answer is JSON: {"answer_type": TYPE, "answer": ANSWER}, the answer typed or as the string
that the hub holds ("True", "[1, 2]", "(a)").
- integer: the number in the box rounds to it; "42, 42" is no number
- float: within 4 % of it; a gold of zero asks for zero
- list of integer, list of float: as many numbers, each by its rule, in any order; `\pm 1` is two,
  and names may stand before them: (x=1, y=2), (x, y) = (1, 2)
- an equation is the number on its right: `5! = 120`, `\ln 2 \approx 0.693`, `|A| = 7`; what stands
  before it is a name or the same number, but no formula of an unknown (`2x = 2`)
- bool: true or yes, false or no, or a sentence that says so ("not true", "the claim does not hold")
- option: the letter

A percentage may stand with or without its hundredth; units are not compared.
"""

import json
import re
from fractions import Fraction
from typing import Any

from delta.grading.choice import letter_of_option
from delta.grading.formulas.answer_parser import readings
from delta.grading.formulas.answer_types import Scalar
from delta.grading.formulas.box_content import (
    Number,
    cleaned,
    formula,
    last_box,
    number,
    without_name,
    without_units,
    words,
)
from delta.grading.formulas.latex_tokens import UnreadableError
from delta.grading.verdict import Verdict

WITHIN = Fraction(4, 100)  # of a float gold
ZERO = Fraction(1, 10**9)  # from a float gold of zero
TRUE, FALSE = ("true", "yes"), ("false", "no")
SAYS_TRUE = (*TRUE, "correct", "valid", "holds", "hold")
SAYS_FALSE = (*FALSE, "untrue", "incorrect", "invalid", "wrong")
NEGATION = re.compile(r"not|never|neither|cannot|\w+n['’]t")
CLAUSE = re.compile(r"[,.;:!?]|\b(?:because|since|as|but|so|for|only)\b")
BOTH = re.compile(r"\b(?:true|yes)\b\W*(?:or|and)?\W*\b(?:false|no)\b")
BOTH_REVERSED = re.compile(r"\b(?:false|no)\b\W*(?:or|and)?\W*\b(?:true|yes)\b")
NOT_IN_GENERAL = re.compile(r"\bnot (?:necessarily|always|in general|the case)\b")
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
APPROXIMATELY = re.compile(r"\\approx(?![a-zA-Z])")
INEQUALITY = re.compile(r"[<>!]|\\(?:n?leq?|n?geq?|neq?|not|lt|gt)(?![a-zA-Z])")
# Both read as formulas: E[X] as E times X.
NAME = re.compile(r"[A-Z]\w*\s*\[.*\]|\|\s*\\?\w+\s*\|")
SUBSCRIPT = re.compile(r"_\s*(?:\{[^{}]*\}|\w)")
PLUS_MINUS = re.compile(r"\\pm(?![a-zA-Z])|±|\+/-")
MINUS_PLUS = re.compile(r"\\mp(?![a-zA-Z])|∓")
NEXT_NAME = re.compile(r"(?<=[\d})])\s+(?=[a-zA-Z\\][^\s=]*\s*=)")  # x = 1 \quad y = 2
BRACKETS = (("(", ")"), ("[", "]"), (r"\{", r"\}"), ("{", "}"), (r"\langle", r"\rangle"))
MATRIX = re.compile(r"\\(?:begin|end)\{[a-z]*(?:matrix|array|cases)\}(?:\{[lcr|]*\})?")

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
    is_list = kind.startswith("list")
    parts = _parts(answer) if is_list else _parts(THOUSANDS.sub("", answer))
    if not is_list:
        if sum(_number(part) is not None for part in parts) > 1:
            return False
        parts = [answer]
    numbers = [_number(part) for part in parts]
    found = [each for each in numbers if each is not None]
    if len(found) < len(numbers):
        return None if any(map(_is_unread, parts, numbers)) else False
    if kind.endswith("integer"):
        return _match_up(gold, found, lambda one, other: abs(one - other) < Fraction(1, 2))
    return _match_up(gold, found, _is_within)


def _number(part: str) -> Number | None:
    """The number that a part is, with or without a unit, or that its equation ends with."""
    *before, last = (side.strip() for side in _split(APPROXIMATELY.sub("=", part), "="))
    value = number(part) or number(without_units(last))
    if value is None or not before:
        return value
    return value if all(_is_name_of(side, value) for side in before) else None


def _is_name_of(side: str, value: Number) -> bool:
    """Whether what stands before "=" is a name or the same number, but no formula of an unknown."""
    if (other := number(side)) is not None:
        return _match_up([other.value * other.scale], [value], _is_within)
    if INEQUALITY.search(re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", side)):
        return False
    if NAME.fullmatch(side):
        return True
    try:
        scalars = [value for value in readings(side) if isinstance(value, Scalar)]
    except UnreadableError:  # a determinant, a variance, an integral
        return True
    return all(tree[0] in ("symbol", "apply") for scalar in scalars for tree in scalar.trees)


def _is_within(one: Fraction, other: Fraction) -> bool:
    return abs(one - other) <= (abs(one) * WITHIN or ZERO)


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
    """What the first words say, else the first clause that says it; None where none or both do."""
    text = re.sub(r"\\(?:neg|lnot)(?![a-zA-Z])|¬", " not ", extracted)
    text = re.sub(r"\\[a-zA-Z]+\s*\{|\\[a-zA-Z]+|[{}]", " ", text).lower()
    text = " ".join(text.split())
    if BOTH.search(text) or BOTH_REVERSED.search(text):
        return None
    first = re.match(r"\W*(\w+)", text)
    word = first[1] if first else ""
    # "No counterexample exists, so it is true."
    is_quantifier = re.match(r"\W*no \w.*\b(?:true|false)\b", text) is not None
    if word in TRUE + FALSE and not is_quantifier:
        return word in TRUE
    for clause in CLAUSE.split(text.removeprefix("no ")):
        said = _said_in(clause)
        if said:
            return said.pop() if len(said) == 1 else None
    return False if NOT_IN_GENERAL.search(text) else None


def _said_in(clause: str) -> set[bool]:
    """The truth values of a clause's words, each turned by the negations before it."""
    said, is_negated = set[bool](), False
    for word in re.findall(r"\w+(?:['’]t)?", clause):
        if NEGATION.fullmatch(word):
            is_negated = not is_negated
        elif word in SAYS_TRUE + SAYS_FALSE:
            said.add((word in SAYS_TRUE) != is_negated)
    return said


def _parts(answer: str) -> list[str]:
    r"""The members of a list: "[1]", "\{1, 2\}", "x = 1, y = 2", "1 and 2", "\pm 1", a matrix."""
    text = re.sub(r"\\(?:left|right)(?![a-z])", "", _without_names(answer)).strip()
    text = re.sub(r"\\\\|&|;", ",", MATRIX.sub("", text))
    text = re.sub(r"\\(?:text|mathrm)\s*\{\s*,?\s*(?:and|or)\s*\}|\b(?:and|or)\b", ",", text)
    text = re.sub(r"(?<=[)}\]])\s*\^\s*\{?\s*(?:T|\\top)\s*\}?\s*$", "", NEXT_NAME.sub(",", text))
    for opening, closing in BRACKETS:
        if text.startswith(opening) and text.endswith(closing):
            text = text[len(opening) : -len(closing)]
            break
    parts = [re.sub(r"^\s*[a-zA-Z]\w*\s*:", "", part).strip() for part in _split(text)]
    parts = [part for part in parts if part]
    return [value for part in parts for value in _with_both_signs(part)]


def _without_names(answer: str) -> str:
    """(1, 2) of "(x, y) = (1, 2)"; 1, 2 of "x_{1,2} = 1, 2"."""
    name, equals, value = answer.partition("=")
    if not equals or "=" in value or re.search(r"\d", SUBSCRIPT.sub("", name)):
        return without_name(answer)
    return value.strip()


def _split(text: str, separator: str = ",") -> list[str]:
    """At the commas, or at another separator, that stand in no bracket."""
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(character, 0)
        if character == separator and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _with_both_signs(part: str) -> list[str]:
    r"""-1 and 1 of "\pm 1"; the part itself where it holds no such sign."""
    if not (PLUS_MINUS.search(part) or MINUS_PLUS.search(part)):
        return [part]
    part = without_name(part)
    upper = MINUS_PLUS.sub("-", PLUS_MINUS.sub("+", part))
    lower = MINUS_PLUS.sub("+", PLUS_MINUS.sub("-", part))
    return [value.strip().removeprefix("+").strip() for value in (upper, lower)]
