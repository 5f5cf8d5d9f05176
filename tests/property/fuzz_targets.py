"""Coverage-guided fuzzing of the code that reads model text: `make fuzz SECONDS=600`.

    python -m tests.property.fuzz_targets TARGET [options of libFuzzer, as -max_total_time=60]

A target fails on a text that raises an exception or takes more than five seconds. test_fuzz.py runs
each for a few seconds.
"""

import json
import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["delta"]):
    from delta.core import strict_json
    from delta.grading.formulas import boxes
    from delta.inference import chat_formats
    from delta.judging import rubric
    from delta.judging.rules.equations import read_lines
    from delta.judging.rules.rate import rate

PIECES = (
    *("\\boxed{", "\\fbox{", "}", "{", "$", "\\[", "\\]", "\\frac{", "\\text{", "^", "_", "\\"),
    *("1", "-", "+", "=", "×", ".", ",", "/", "%", " ", "\n", "٤", "½", "4.5", "10^9"),
    *("<think>", "</think>", "<|im_start|>", "answer\n", "<|channel|>final<|message|>", "<|end|>"),
    *('{"', '":', '"}', "[", "]", "score", "justification", "deductions_found", "null", "NaN"),
)


def text_of(data: bytes) -> str:
    """Return a text of pieces that models write, with raw characters between them."""
    provider = atheris.FuzzedDataProvider(data)
    parts = []
    while provider.remaining_bytes():
        number = provider.ConsumeIntInRange(0, 2 * len(PIECES))
        if number < len(PIECES):
            parts.append(PIECES[number])
        else:
            parts.append(provider.ConsumeUnicodeNoSurrogates(4))
    return "".join(parts)


def extraction(text: str) -> None:
    found = boxes.last_box(text)
    assert found is None or found in text
    inner = boxes.last_box(f"{text} \\boxed{{271}}")
    assert inner == "271", "an answer before the last box hides it"


def borders(text: str) -> None:
    for protocol in chat_formats.all_chat_formats().values():
        start, end, answer = protocol.split(text)
        assert 0 <= start <= end <= (len(text) if answer is None else answer) <= len(text)


def rating(text: str) -> None:
    found = rubric.parse_votes(text)
    if found is not None:
        assert all(1 <= vote.score <= 5 for vote in found.values())
    whole: dict[str, dict[str, object]] = {}
    for dimension in rubric.RUBRIC:
        vote = {"score": 3, "justification": text[:200], "deductions_found": [text[:50]]}
        whole.setdefault(dimension.category, {})[dimension.name] = vote
    read = rubric.parse_votes(json.dumps(whole))
    assert read is not None
    assert {vote.score for vote in read.values()} == {3}
    assert rubric.parse_votes(text + json.dumps(whole)) is None or not text.strip()


def strict(text: str) -> None:
    try:
        found = strict_json.loads(text)
    except ValueError:
        return
    assert strict_json.loads(json.dumps(found)) == found


def rules(text: str) -> None:
    read_lines(text)
    assert all(1 <= one.score <= 5 for one in rate("What is 1 + 1?", text).values())


TARGETS: dict[str, Callable[[str], None]] = {
    target.__name__: target for target in (extraction, borders, rating, strict, rules)
}


def main() -> None:
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], "-timeout=5", *sys.argv[2:]], lambda data: target(text_of(data)))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
