"""The steps of a trace that its judge named, by the rule judge's words and a model's."""

import pytest

from delta.core.types import Row
from delta.judging.rules.rate import NoVote, cast_vote, read
from delta.report.viewer.named_steps import find_named_steps
from tests.helpers.adversarial_texts import TEXTS

TRACE = """Let us count.
Step 1: 3 + 4 = 8 apples.
Step 2: each costs 2, so 8*2=16.
**Step 12** is not step 1.
The answer is 160."""


def rating(justification: str, *deductions: str) -> Row:
    return {
        "dimension": "factuality",
        "justification": justification,
        "deductions": list(deductions),
    }


def named(text: str, justification: str, *deductions: str) -> list[str]:
    steps = find_named_steps(text, [rating(justification, *deductions)])
    return [text[step.start : step.end] for step in steps]


@pytest.mark.parametrize(
    ("justification", "pieces"),
    [
        ("It states that 3+4=8.", ["3 + 4 = 8"]),
        ("It writes “Let us count” first.", ["Let us count"]),
        ("The words 'each costs 2' have no source.", ["each costs 2"]),
        ("Step 2 does not follow.", ["Step 2: each costs 2, so 8*2=16."]),
        ("Steps 1 and 2", ["Step 1: 3 + 4 = 8 apples.", "Step 2: each costs 2, so 8*2=16."]),
        ("In step 12 it wanders off.", ["**Step 12** is not step 1."]),
        ("Step 3 is missing.", []),
        ("The answer is 16.", []),  # no quotation; and 16 is not a part of 160
        ("It claims 8*2=160.", []),  # does not occur
        ('It says "an".', []),  # too short to be told apart
        ("", []),
    ],
)
def test_a_justification_names_what_it_quotes(justification: str, pieces: list[str]) -> None:
    assert named(TRACE, justification) == pieces


def test_a_numbered_list_has_steps_too() -> None:
    text = "1. Add 2 and 3.\n2) Double it.\n\nSo 2. is last."
    assert named(text, "Step 2 is wrong") == ["2) Double it."]
    assert named(text, "Step 1 is wrong") == ["1. Add 2 and 3."]


def test_the_steps_that_the_rule_judge_names_are_found() -> None:
    statement = "Ann has 3 apples and buys 4. How many apples has she?"
    trace = "She has 3 + 4 = 8 apples.\nWith 55 more she has 8 + 55 = 63.\nThe answer is 63."
    ratings = [
        {"dimension": name, "justification": vote.justification, "deductions": vote.deductions}
        for name, triggers in read(statement, trace).items()
        if not isinstance(triggers, NoVote)
        for vote in [cast_vote(triggers)]
    ]
    found = [
        (trace[step.start : step.end], step.dimension, step.note)
        for step in find_named_steps(trace, ratings)
    ]
    assert found == [
        ("3 + 4 = 8", "computational_precision", "arithmetic error: 3 + 4 = 8"),
        ("55", "factuality", "hallucinated data: 55"),
    ]


def test_numbers_of_the_problem_that_the_trace_ignores_are_not_marked() -> None:
    assert named("There are 40 days.", "", "ignored explicit constraints: 40") == []


def test_a_step_that_deduction_and_justification_name_is_marked_once() -> None:
    assert named(TRACE, "Arithmetic error: 3 + 4 = 8.", "arithmetic error: 3 + 4 = 8") == [
        "3 + 4 = 8"
    ]


def test_offsets_are_those_of_javascript() -> None:
    (step,) = find_named_steps("👍 2 + 2 = 5", [rating("2 + 2 = 5")])
    assert (step.start, step.end) == (3, 12)  # the emoji has two UTF-16 code units


def test_a_trace_has_at_most_twenty_marks() -> None:
    text = "\n".join(f"{number} + 1 = 0" for number in range(100, 150))
    assert len(named(text, "; ".join(text.split("\n")))) == 20


@pytest.mark.parametrize("name", TEXTS)
def test_an_adversarial_text_is_only_searched(name: str) -> None:
    text = TEXTS[name]
    for trace, note in ((text, text), (TRACE, text), (text, "Step 1: “a b” and 3 + 4 = 8")):
        length = len(trace.encode("utf-16-le", "surrogatepass")) // 2
        for step in find_named_steps(trace, [rating(note, f"wrong: {note}")]):
            assert 0 <= step.start < step.end <= length


def test_a_long_note_is_searched_once() -> None:
    assert named("1" * 50_000, "(" * 300 + "1.," * 100, "hallucinated data: " + "1, " * 90) == []
    assert named("=" * 50_000, "1 + " * 70 + "=", "a: " + "= " * 140) in ([], ["=" * 140])
