"""A mathematical answer: the last box after the reasoning, compared by Math-Verify."""

from typing import Any, NamedTuple

BOX = r"\boxed{"
THINKING, THINKING_ENDS = "<think>", "</think>"
MAX_ANSWER = 1_000  # characters; nothing longer is an answer, and parsers are slow on it


class Verdict(NamedTuple):
    outcome: str  # one of delta.records.OUTCOMES
    extracted: str | None
    reason: str | None


def last_box(text: str) -> str | None:
    r"""The content of the last balanced \boxed{…} after the reasoning; None where there is none.

    Math-Verify would merge all boxes of a text into a set, so a trace that corrects itself from
    \boxed{7} to \boxed{8} would be wrong, and without a box it would guess from loose numbers.
    """
    _, ended, answer = text.rpartition(THINKING_ENDS)
    if not ended and THINKING in answer:
        return None  # cut before the reasoning ended: a box in there is no answer
    start = answer.rfind(BOX)
    while start >= 0:
        content = _balanced(answer, start + len(BOX))
        if content is not None:
            return content
        start = answer.rfind(BOX, 0, start)
    return None


def _balanced(text: str, start: int) -> str | None:
    """Text from `start` to the brace that closes there; None where none does in MAX_ANSWER."""
    depth, escaped = 1, False
    for index in range(start, min(len(text), start + MAX_ANSWER)):
        character = text[index]
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return text[start:index].strip()
    return None


def grade(gold_answer: str, text: str, finish_reason: str) -> Verdict:
    """The outcome of one trace or answer against its gold answer.

    No box is a wrong answer, as on every benchmark; its reason says whether the text was cut.
    Ungradable is what cannot be compared: a gold or an extracted answer that does not parse.
    """
    extracted = last_box(text)
    if extracted is None:
        return Verdict("incorrect", None, "cut" if finish_reason == "length" else "no_box")
    if not extracted:
        return Verdict("incorrect", extracted, "empty_box")
    if " ".join(extracted.split()) == " ".join(gold_answer.split()):
        return Verdict("correct", extracted, None)
    return _compared(gold_answer, extracted)


def _compared(gold_answer: str, extracted: str) -> Verdict:
    from math_verify import verify

    # Bare LaTeX often parses to nothing; a box around it always says what it is. The caller's hard
    # kill bounds the time: the library's own alarms answer False in silence.
    gold = _parsed(gold_answer)
    if not gold:
        return Verdict("ungradable", extracted, "unparsable_gold")
    prediction = _parsed(extracted)
    if not prediction:
        return Verdict("ungradable", extracted, "unparsable_answer")
    if verify(gold, prediction, timeout_seconds=None):
        return Verdict("correct", extracted, None)
    return Verdict("incorrect", extracted, "different")


def _parsed(answer: str) -> list[Any]:
    """Math-Verify's readings. A boxed percentage stays a mere string; as a formula it is read."""
    from math_verify import parse

    boxed: list[Any] = parse(BOX + answer + "}", parsing_timeout=None)
    if boxed and all(isinstance(reading, str) for reading in boxed):
        formula: list[Any] = parse(f"${answer}$", parsing_timeout=None)
        if any(not isinstance(reading, str) for reading in formula):
            return formula
    return boxed
