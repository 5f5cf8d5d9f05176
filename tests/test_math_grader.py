"""The mathematical grader: which box counts, what equals what, and answers that mean harm."""

import os
import time

import pytest

from delta.errors import InputError
from delta.graders.math import Verdict, grade, last_box
from delta.graders.pool import VerifyParams, check_share, count, outcomes

HARD = VerifyParams(workers=2, limit_s=1.0, max_ungradable=0.5)
EIGHT = r"\boxed{5 + 3}"


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"So it is \boxed{8}.", "8"),
        (r"\boxed{7} No, that is wrong. \boxed{8}", "8"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\text{a {b} c}}", r"\text{a {b} c}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\} open}", r"\} open"),
        (r"\boxed{a \\}", r"a \\"),
        (r"\boxed{  12 " + "\n}", "12"),
        (r"\boxed{}", ""),
        (r"\boxed{\boxed{8}}", "8"),
        (r"\boxed{7} and then \boxed{8", "7"),
        (r"\boxed{8", None),
        (r"\boxed{\frac{1}{2}", None),
        ("The answer is 8.", None),
        (r"boxed{8}", None),
        ("", None),
        (r"<think>\boxed{7}</think> The answer is 8.", None),
        (r"<think>\boxed{7}</think> \boxed{8}", "8"),
        (r"\boxed{7}</think> and </think> \boxed{8}", "8"),
        (r"\boxed{" + "1" * 999 + "}", "1" * 999),
        (r"\boxed{" + "1" * 1_001 + "}", None),
    ],
)
def test_the_last_balanced_box_after_the_reasoning_is_the_answer(
    text: str, content: str | None
) -> None:
    assert last_box(text) == content


@pytest.mark.parametrize(
    ("gold_answer", "answer"),
    [
        ("8", "8"),
        ("8", " 8 "),
        ("8", "8.0"),
        ("8", "x = 8"),
        ("8", "5 + 3"),
        ("-8", "-8"),
        ("1234", "1,234"),
        ("1,234", "1234"),
        (r"\frac{1}{2}", "0.5"),
        ("0.5", r"\frac{1}{2}"),
        ("1/2", r"\frac{2}{4}"),
        (r"2\sqrt{2}", r"\sqrt{8}"),
        ("12", r"12 \text{ apples}"),
        ("12", r"\$12"),
        (r"10\%", r"10\%"),
        (r"10\%", r"10 \%"),
        (r"10\%", "10"),
        ("10", r"10\%"),
        ("(1,2)", "(1, 2)"),
        (r"\{1,2\}", r"\{2, 1\}"),
        ("Monday", r"\text{Monday}"),
        ("yes", "Yes"),
    ],
)
def test_equal_answers_are_correct(gold_answer: str, answer: str) -> None:
    assert grade(gold_answer, f"\\boxed{{{answer}}}", "stop") == Verdict(
        "correct", answer.strip(), None
    )


@pytest.mark.parametrize(
    ("gold_answer", "answer"),
    [
        ("8", "7"),
        ("8", "-8"),
        ("1234", "1.234"),
        ("1/3", "0.333"),
        ("(1,2)", "(2,1)"),
        (r"10\%", "11"),
        ("Monday", "Tuesday"),
        ("True", "Yes"),
        ("8", "???"),
        ("8", "7, 8"),
    ],
)
def test_different_answers_are_incorrect(gold_answer: str, answer: str) -> None:
    assert grade(gold_answer, f"\\boxed{{{answer}}}", "stop") == Verdict(
        "incorrect", answer, "different"
    )


@pytest.mark.parametrize(
    ("gold_answer", "text", "finish_reason", "verdict"),
    [
        ("8", r"\boxed{7} no: \boxed{8}", "stop", Verdict("correct", "8", None)),
        ("7", r"\boxed{7} no: \boxed{8}", "stop", Verdict("incorrect", "8", "different")),
        ("8", "It is 8.", "stop", Verdict("incorrect", None, "no_box")),
        ("8", "It is", "length", Verdict("incorrect", None, "cut")),
        ("8", r"It is \boxed{8", "length", Verdict("incorrect", None, "cut")),
        ("8", r"\boxed{8}. So", "length", Verdict("correct", "8", None)),
        ("8", r"<think>\boxed{8}</think> Done.", "stop", Verdict("incorrect", None, "no_box")),
        ("8", r"\boxed{ }", "stop", Verdict("incorrect", "", "empty_box")),
        ("", r"\boxed{8}", "stop", Verdict("ungradable", "8", "unparsable_gold")),
        ("}{", r"\boxed{8}", "stop", Verdict("ungradable", "8", "unparsable_gold")),
        (
            "8",
            r"\boxed{\text{}}",
            "stop",
            Verdict("ungradable", r"\text{}", "unparsable_answer"),
        ),
    ],
)
def test_no_answer_has_a_reason_of_its_own(
    gold_answer: str, text: str, finish_reason: str, verdict: Verdict
) -> None:
    assert grade(gold_answer, text, finish_reason) == verdict


def harmful(gold_answer: str, text: str, finish_reason: str) -> Verdict:
    """The grader, but a text of one word does what it says."""
    if text == "raise":
        raise ZeroDivisionError(gold_answer)
    if text == "exit":
        os._exit(7)
    if text == "recurse":
        return harmful(gold_answer, text, finish_reason)
    return grade(gold_answer, text, finish_reason)


def test_no_answer_and_no_crash_takes_others_with_it_and_order_is_kept() -> None:
    texts = [
        r"\boxed{9^{9^{9}}}",
        "raise",
        r"\boxed{(10^9)!}",
        "exit",
        "1 + 1 = 2. " * 2_300,  # 25,000 characters
        "recurse",
        r"\boxed{" + "1+" * 12_500 + "1}",
        r"\boxed{" + "(" * 400 + "7" + ")" * 400 + "}",
    ]
    cases = [case for text in texts for case in [("8", text, "stop"), ("8", EIGHT, "stop")]]
    start = time.monotonic()
    verdicts = list(outcomes(HARD, cases, harmful))
    assert time.monotonic() - start < 30  # workers start five times, for seconds on a busy machine
    assert verdicts[1::2] == [Verdict("correct", "5 + 3", None)] * 8
    assert verdicts[:14:2] == [
        Verdict("ungradable", None, "timeout"),
        Verdict("ungradable", None, "ZeroDivisionError in the grader"),
        Verdict("ungradable", None, "timeout"),
        Verdict("ungradable", None, "worker died with exit code 7"),
        Verdict("incorrect", None, "no_box"),
        Verdict("ungradable", None, "RecursionError in the grader"),
        Verdict("incorrect", None, "no_box"),
    ]
    assert verdicts[14].outcome in ("incorrect", "ungradable")  # as the parser likes
    counts = count(verdicts[:14])
    assert counts == {
        "graded": 14,
        "correct": 7,
        "incorrect": 2,
        "ungradable": 5,
        "reasons": {
            "RecursionError in the grader": 1,
            "ZeroDivisionError in the grader": 1,
            "no_box": 2,
            "timeout": 2,
            "worker died with exit code 7": 1,
        },
    }
    check_share("verify", HARD, counts)


def test_a_share_of_ungradable_answers_above_the_limit_is_an_error() -> None:
    verdicts = [Verdict("ungradable", None, "timeout")] * 3 + [Verdict("correct", "8", None)] * 2
    with pytest.raises(InputError) as caught:
        check_share("verify", HARD, count(verdicts))
    assert str(caught.value) == (
        "verify: 3 of 5 answers are ungradable ({'timeout': 3}), allowed: a share of "
        "verify.max_ungradable = 0.5"
    )
