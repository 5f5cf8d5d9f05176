"""The mathematical grader: which box counts, what equals what, and Math-Verify's own extraction."""

import pytest

from delta.graders import Verdict
from delta.graders.math import grade, grade_as_math_verify
from delta.graders.readings import last_box
from tests.cases import CaseRow, check, rows

TABLES = ("math", "math_exact", "math_structure", "math_forms")


@pytest.mark.parametrize("row", [row for name in TABLES for row in rows(name)], ids=str)
def test_every_row_of_the_table_has_its_outcome(row: CaseRow) -> None:
    check(grade, row)


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
        (r"\fbox{8}", "8"),
        (r"\boxed{8", None),
        (r"\boxed{\frac{1}{2}", None),
        ("The answer is 8.", None),
        (r"boxed{8}", None),
        ("", None),
        (r"\boxed{" + "1" * 999 + "}", "1" * 999),
        (r"\boxed{" + "1" * 1_001 + "}", None),
    ],
)
def test_the_last_balanced_box_is_the_answer(text: str, content: str | None) -> None:
    assert last_box(text) == content


@pytest.mark.parametrize(
    ("answer", "finish_reason", "verdict"),
    [
        (None, "length", Verdict("incorrect", None, "cut")),
        (None, "stop", Verdict("incorrect", None, "cut")),
        ("It is", "length", Verdict("incorrect", None, "cut")),
        (r"It is \boxed{8", "length", Verdict("incorrect", None, "cut")),
        (r"\boxed{8}. So", "length", Verdict("correct", "8", None)),
        ("", "refused", Verdict("incorrect", None, "no_box")),
        (r"\boxed{ 5 + 3 }", "stop", Verdict("correct", "5 + 3", None)),
    ],
)
def test_an_answer_that_was_cut_says_so(
    answer: str | None, finish_reason: str, verdict: Verdict
) -> None:
    assert grade("8", answer, finish_reason) == verdict


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        ("8", r"It is \boxed{8}.", Verdict("correct", "8", None)),
        ("8", "The answer is 8.", Verdict("correct", "8", None)),  # a guess, as it is documented
        # Neighbouring boxes merge into a set: a self-correction is wrong.
        ("8", r"\boxed{7} no: \boxed{8}", Verdict("incorrect", "7,8", "different")),
        ("8", "No idea.", Verdict("incorrect", None, "no_box")),
        ("8", None, Verdict("incorrect", None, "cut")),
        ("", r"\boxed{8}", Verdict("ungradable", None, "empty_gold")),
        ("}{", r"\boxed{8}", Verdict("ungradable", "8", "unparsable_gold")),
    ],
)
def test_math_verifys_own_extraction_is_as_in_papers(
    gold: str, answer: str | None, verdict: Verdict
) -> None:
    assert grade_as_math_verify(gold, answer, "stop") == verdict
