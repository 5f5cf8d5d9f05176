r"""Grade TheoremQA's answers: the last box, compared by the rule of the answer's type.

The gold answer is JSON: {"answer_type": TYPE, "answer": ANSWER}. The answer is a JSON value, or a
string as on the hub ("True", "[1, 2]", "(a)").
- integer: the number in the box rounds to it; "42, 42" is not a number
- float: within 4% of it; a gold of zero requires zero
- list of integer, list of float: as many numbers, each by its rule, in any order; `\pm 1` is two
  numbers; names may precede them: (x=1, y=2), (x, y) = (1, 2)
- bool: true or yes, false or no, or a sentence that says so ("not true", "the claim does not hold")
- option: the letter

An equation is the number on its right: `5! = 120`, `\ln 2 \approx 0.693`, `|A| = 7`. Its left side
must be a name or the same number, not a formula of an unknown (`2x = 2`). A percentage, 5%, equals
5 and 0.05. Units are not compared.
"""

import json
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from delta.grading.choice_grader import letter_of_option
from delta.grading.formulas.answer_parser import parse_answer
from delta.grading.formulas.boxes import last_box
from delta.grading.formulas.cleaning import as_words, clean, without_name, without_units
from delta.grading.formulas.rounding import WrittenNumber
from delta.grading.formulas.scalar_equality import as_number
from delta.grading.formulas.trees import quotient
from delta.grading.formulas.values import Ratio, Scalar, Value, unnamed
from delta.grading.math_verify_adapter import parse_latex
from delta.grading.verdict import Verdict, compared_verdict, verdict_without_answer

TOLERANCE = Fraction(4, 100)  # of a float gold
ZERO_TOLERANCE = Fraction(1, 10**9)  # of a float gold of zero
TRUE, FALSE = ("true", "yes"), ("false", "no")
TRUE_WORDS = (*TRUE, "correct", "valid", "holds", "hold")
FALSE_WORDS = (*FALSE, "untrue", "incorrect", "invalid", "wrong")
NEGATION = re.compile(r"not|never|neither|cannot|\w+n['’]t")
CLAUSE = re.compile(r"[,.;:!?]|\b(?:because|since|as|but|so|for|only)\b")
BOTH = re.compile(r"\b(?:true|yes)\b\W*(?:or|and)?\W*\b(?:false|no)\b")
BOTH_REVERSED = re.compile(r"\b(?:false|no)\b\W*(?:or|and)?\W*\b(?:true|yes)\b")
NOT_IN_GENERAL = re.compile(r"\bnot (?:necessarily|always|in general|the case)\b")
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
APPROXIMATELY = re.compile(r"\\approx(?![a-zA-Z])")
INEQUALITY = re.compile(r"[<>!]|\\(?:n?leq?|n?geq?|neq?|not|lt|gt)(?![a-zA-Z])")
# Names that would parse as formulas: E[X] as E times X.
NAME = re.compile(r"[A-Z]\w*\s*\[.*\]|\|\s*\\?\w+\s*\|")
SUBSCRIPT = re.compile(r"_\s*(?:\{[^{}]*\}|\w)")
PLUS_MINUS = re.compile(r"\\pm(?![a-zA-Z])|±|\+/-")
MINUS_PLUS = re.compile(r"\\mp(?![a-zA-Z])|∓")
NEXT_NAME = re.compile(r"(?<=[\d})])\s+(?=[a-zA-Z\\][^\s=]*\s*=)")  # x = 1 \quad y = 2
BRACKETS = (("(", ")"), ("[", "]"), (r"\{", r"\}"), ("{", "}"), (r"\langle", r"\rangle"))
MATRIX = re.compile(r"\\(?:begin|end)\{[a-z]*(?:matrix|array|cases)\}(?:\{[lcr|]*\})?")

Gold = bool | str | list[Fraction]


def grade(gold_answer: str, answer: str | None, finish_reason: str) -> Verdict:
    """Return the verdict on an answer, the reply after its reasoning; None: cut before that."""
    if not gold_answer.strip():
        return Verdict("ungradable", None, "empty_gold")
    extracted = None if answer is None else last_box(answer)
    if extracted is None:
        return verdict_without_answer(answer, finish_reason, "no_box")
    try:
        kind, gold = _parse_gold(gold_answer)
    except (ValueError, ZeroDivisionError):
        return Verdict("ungradable", extracted, "unparsable_gold")
    if not re.search(r"\w", extracted):
        return Verdict("incorrect", extracted, "empty_box")
    same = _same_answer(kind, gold, extracted)
    if same is None:
        return Verdict("ungradable", extracted, "unparsable_answer")
    return compared_verdict(same, extracted)


def _parse_gold(text: str) -> tuple[str, Gold]:
    """Return type and answer: a bool, a letter or numbers. Raises ValueError."""
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
            if letter := letter_of_option(str(answer)):
                return kind, letter
            raise ValueError(f"{answer!r} is no option")
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


def _same_answer(kind: str, gold: Gold, extracted: str) -> bool | None:
    """Return whether the box has the gold answer; None if its mathematics does not parse."""
    if isinstance(gold, bool):
        return _truth_value(extracted) == gold
    if isinstance(gold, str):
        return letter_of_option(extracted) == gold
    answer = clean(extracted)
    if kind.startswith("list"):
        parts = _parts(answer)
    else:
        parts = [answer]
        if sum(_number(part) is not None for part in _parts(THOUSANDS.sub("", answer))) > 1:
            return False
    numbers = [_number(part) for part in parts]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        unread = [part for part, number in zip(parts, numbers, strict=True) if number is None]
        return None if any(map(_is_unparsable, unread)) else False
    return _same_numbers(gold, known, _rounds_to if kind.endswith("integer") else _is_close)


def real_number(answer: str) -> WrittenNumber | None:
    """Return a cleaned answer as a real number, with or without a name and a unit; else None."""
    scalars = (_as_scalar(unnamed(value)) for value in parse_answer(answer))
    return next((number for scalar in scalars if scalar and (number := as_number(scalar))), None)


def _as_scalar(value: Value) -> Scalar | None:
    if isinstance(value, Ratio) and len(value.parts) == 2:
        first, second = value.parts
        return Scalar((quotient(first.trees[0], second.trees[0]),))
    return value if isinstance(value, Scalar) else None


def _number(part: str) -> WrittenNumber | None:
    """Return a part, or the right side of its equation, as a number; else None."""
    *before, last = (side.strip() for side in _split(APPROXIMATELY.sub("=", part), "="))
    number = real_number(part) or real_number(without_units(last))
    if number is None or not all(_is_name_of(side, number) for side in before):
        return None
    return number


def _is_name_of(side: str, number: WrittenNumber) -> bool:
    """Return whether the left side of an equation is a name or the same number."""
    if (other := real_number(side)) is not None:
        return _same_numbers([other.value * other.scale], [number], _is_close)
    if INEQUALITY.search(re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", side)):
        return False
    if NAME.fullmatch(side):
        return True
    # What does not parse is a name: a determinant, a variance, an integral.
    scalars = [value for value in parse_answer(side) if isinstance(value, Scalar)]
    return all(tree.kind in ("symbol", "apply") for scalar in scalars for tree in scalar.trees)


def _is_close(gold: Fraction, value: Fraction) -> bool:
    return abs(gold - value) <= (abs(gold) * TOLERANCE or ZERO_TOLERANCE)


def _rounds_to(gold: Fraction, value: Fraction) -> bool:
    return abs(gold - value) < Fraction(1, 2)


def _same_numbers(
    gold: list[Fraction],
    numbers: list[WrittenNumber],
    is_close: Callable[[Fraction, Fraction], bool],
) -> bool:
    """Return whether the numbers agree in any order; a percentage, 5%, counts as 5 and as 0.05."""
    if len(gold) != len(numbers):
        return False
    written = sorted(number.value for number in numbers)
    scaled = sorted(number.value * number.scale for number in numbers)
    return any(all(map(is_close, sorted(gold), values)) for values in (written, scaled))


def _is_unparsable(part: str) -> bool:
    return bool(part) and not as_words(part) and parse_latex(part) is None


def _truth_value(extracted: str) -> bool | None:
    """Return the truth value of the first word, else of the first clause that states one.

    None where neither or both are stated.
    """
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
        if values := _truth_values(clause):
            return values.pop() if len(values) == 1 else None
    return False if NOT_IN_GENERAL.search(text) else None


def _truth_values(clause: str) -> set[bool]:
    """Return the truth values of a clause's words; each negation inverts those after it."""
    values, is_negated = set[bool](), False
    for word in re.findall(r"\w+(?:['’]t)?", clause):
        if NEGATION.fullmatch(word):
            is_negated = not is_negated
        elif word in TRUE_WORDS + FALSE_WORDS:
            values.add((word in TRUE_WORDS) != is_negated)
    return values


def _parts(answer: str) -> list[str]:
    r"""Split a list into its members: "[1]", "x = 1, y = 2", "1 and 2", "\pm 1", a matrix."""
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
    """Return (1, 2) for "(x, y) = (1, 2)"; 1, 2 for "x_{1,2} = 1, 2"."""
    name, equals, value = answer.partition("=")
    if not equals or "=" in value or re.search(r"\d", SUBSCRIPT.sub("", name)):
        return without_name(answer)
    return value.strip()


def _split(text: str, separator: str = ",") -> list[str]:
    """Split at the separators outside of brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(character, 0)
        if character == separator and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _with_both_signs(part: str) -> list[str]:
    r"""Return 1 and -1 for "\pm 1"; the part itself without such a sign."""
    if not (PLUS_MINUS.search(part) or MINUS_PLUS.search(part)):
        return [part]
    part = without_name(part)
    upper = MINUS_PLUS.sub("-", PLUS_MINUS.sub("+", part))
    lower = MINUS_PLUS.sub("+", PLUS_MINUS.sub("-", part))
    return [value.strip().removeprefix("+").strip() for value in (upper, lower)]
