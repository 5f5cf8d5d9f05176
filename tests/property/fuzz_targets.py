"""Coverage-guided fuzzing of the code that reads model text: `make fuzz SECONDS=600`.

    python -m tests.property.fuzz_targets TARGET [options of libFuzzer, as -max_total_time=60]

A target fails on a text that raises an exception or takes more than five seconds. test_fuzz.py runs
each target for a few seconds.
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
    from delta.judging.rules.rate import NoVote, RulesParams, rate
    from tests.helpers.judge_replies import constant_reply

FRAGMENTS = (
    *("\\boxed{", "\\fbox{", "}", "{", "$", "\\[", "\\]", "\\frac{", "\\text{", "^", "_", "\\"),
    *("1", "-", "+", "=", "×", ".", ",", "/", "%", " ", "\n", "٤", "½", "4.5", "10^9"),
    *("<think>", "</think>", "<|im_start|>", "answer\n", "<|channel|>final<|message|>", "<|end|>"),
    *('{"', '":', '"}', "[", "]", "score", "justification", "deductions_found", "null", "NaN"),
)


def text_from_bytes(data: bytes) -> str:
    """Return a text of fragments that models write, mixed with raw characters."""
    provider = atheris.FuzzedDataProvider(data)
    parts = []
    while provider.remaining_bytes():
        number = provider.ConsumeIntInRange(0, 2 * len(FRAGMENTS))
        if number < len(FRAGMENTS):
            parts.append(FRAGMENTS[number])
        else:
            parts.append(provider.ConsumeUnicodeNoSurrogates(4))
    return "".join(parts)


def last_box(text: str) -> None:
    box = boxes.last_box(text)
    assert box is None or box in text
    last = boxes.last_box(f"{text} \\boxed{{271}}")
    assert last == "271", "an answer before the last box hides it"


def chat_format_split(text: str) -> None:
    for chat_format in chat_formats.all_chat_formats().values():
        start, end, answer = chat_format.split(text)
        assert 0 <= start <= end <= (len(text) if answer is None else answer) <= len(text)


def judge_reply(text: str) -> None:
    votes = rubric.parse_votes(text)
    if votes is not None:
        assert all(1 <= vote.score <= 5 for vote in votes.values())
    reply = constant_reply(3, text[:200], [text[:50]])
    valid = rubric.parse_votes(reply)
    assert valid is not None
    assert {vote.score for vote in valid.values()} == {3}
    assert rubric.parse_votes(text + reply) is None or not text.strip()


def strict_json_loads(text: str) -> None:
    try:
        value = strict_json.loads(text)
    except ValueError:
        return
    assert strict_json.loads(json.dumps(value)) == value


def rule_judge(text: str) -> None:
    read_lines(text)
    for votes in rate("What is 1 + 1?", text, RulesParams(votes=2, seed=0)).values():
        assert isinstance(votes, NoVote) or all(1 <= vote.score <= 5 for vote in votes)


TARGETS: dict[str, Callable[[str], None]] = {
    target.__name__: target
    for target in (last_box, chat_format_split, judge_reply, strict_json_loads, rule_judge)
}


def main() -> None:
    target = TARGETS[sys.argv[1]]
    atheris.Setup(
        [sys.argv[0], "-timeout=5", *sys.argv[2:]], lambda data: target(text_from_bytes(data))
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
