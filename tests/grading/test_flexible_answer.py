"""An answer without its form is the last number or option letter of the text."""

import pytest

from delta.grading.flexible_answer import in_asked_form


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("So 12 + 7 = 19.", "19"),
        ("It is 3.50 in all", "3.50"),
        ("1,234,567 people", "1,234,567"),
        ("about 12,34", "34"),  # a comma, but not of thousands
        ("the answer is -3", "-3"),
        ("the answer is −3", "-3"),
        ("= -3", "-3"),
        ("-3", "-3"),
        ("5-3", "3"),
        ("5 - 3", "3"),
        ("(2)-3", "3"),
        ("x-3", "3"),
        ("- 3", "3"),  # a bullet
        ("costs $5", "5"),
        ("5cm", "5"),
        ("50%", "50"),
        ("about .5", ".5"),
        (r"\boxed{8}. No, 9", "9"),
        ("so 3 * 4 = 1", "1"),  # cut by length: whatever stands last
        ("3/4", "4"),  # a fraction is not one number
        (r"\frac{3}{4}", "4"),
        ("in H2", None),
        ("twelve", None),
        ("", None),
        ("9" * 1001, None),
    ],
)
def test_the_last_number_counts(text: str, number: str | None) -> None:
    expected = None if number is None else rf"\boxed{{{number}}}"
    assert in_asked_form("math", text) == expected
    assert in_asked_form("theorem", text) == expected


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("I think (C) fits, not D", "D"),
        ("First A, then C.", "C"),
        ("Option A", "A"),
        ("A because of this", None),  # an article before a word
        ("A ball", None),
        ("B. A ball", "B"),
        ("I am sure", None),
        ("I'm sure", None),
        ("DNA", None),
        ("K", None),
        ("", None),
    ],
)
def test_the_last_letter_alone_counts(text: str, letter: str | None) -> None:
    assert in_asked_form("choice", text) == (None if letter is None else rf"\boxed{{{letter}}}")


def test_an_unfinished_reasoning_and_a_program_have_no_other_form() -> None:
    assert in_asked_form("math", None) is None
    assert in_asked_form("code", "print(7)") is None
