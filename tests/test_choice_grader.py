"""The choice grader: which letter an answer chose, and that none is never a guess."""

import pytest

from delta.graders import Verdict
from delta.graders.choice import grade
from tests.cases import CaseRow, check, rows


@pytest.mark.parametrize("row", rows("choice"), ids=str)
def test_every_row_of_the_table_has_its_outcome(row: CaseRow) -> None:
    check(grade, row, box=False)


def test_an_answer_that_was_cut_says_so() -> None:
    assert grade("B", None, "length") == Verdict("incorrect", None, "cut")
    assert grade("B", None, "stop") == Verdict("incorrect", None, "cut")
    assert grade("B", "Option A is", "length") == Verdict("incorrect", None, "cut")
    assert grade("B", r"So \boxed{B}. Fur", "length") == Verdict("correct", "B", None)


def test_the_letter_is_what_was_extracted() -> None:
    assert grade("B", r"\boxed{\text{(c) } 42}", "stop") == Verdict("incorrect", "C", "different")
    both = Verdict("incorrect", "A, C", "several_letters")
    assert grade("A", r"\boxed{A, C}", "stop") == both
