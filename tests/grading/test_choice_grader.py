"""The choice grader: the letter of an answer; an answer without a letter is never guessed."""

import time

import pytest

from delta.grading.choice_grader import grade
from delta.grading.verdict import Verdict
from tests.helpers.grading_cases import CaseRow, check, rows


@pytest.mark.parametrize("row", rows("choice"), ids=str)
def test_every_row_of_the_table_has_its_outcome(row: CaseRow) -> None:
    check(grade, row, box=False)


def test_a_cut_answer_has_the_reason_cut() -> None:
    assert grade("B", None, "length") == Verdict("incorrect", None, "cut")
    assert grade("B", None, "stop") == Verdict("incorrect", None, "cut")
    assert grade("B", "Option A is", "length") == Verdict("incorrect", None, "cut")
    assert grade("B", r"So \boxed{B}. Fur", "length") == Verdict("correct", "B", None)


def test_the_letter_is_the_extracted_answer() -> None:
    assert grade("B", r"\boxed{\text{(c) } 42}", "stop") == Verdict("incorrect", "C", "different")
    both = Verdict("incorrect", "A, C", "several_letters")
    assert grade("A", r"\boxed{A, C}", "stop") == both


def test_the_start_of_a_cut_word_is_no_letter() -> None:
    cut = Verdict("incorrect", None, "cut")
    assert grade("B", "So the answer is B", "length") == cut  # "Because"?
    assert grade("B", "So we get 42.\nB", "length") == cut
    assert grade("B", "So the answer is (B", "length") == cut
    assert grade("B", "So the answer is (B)", "length").outcome == "correct"
    assert grade("B", "So the answer is B.", "length").outcome == "correct"
    assert grade("B", "So we get 42.\nB", "stop").outcome == "correct"


@pytest.mark.parametrize(
    "text",
    ["answer:" + " " * 20_000]
    + [
        part * (20_000 // len(part))
        for part in (
            *("\n", " ", "$ ", "* ", "**", "(A", '"', "[ ", "answer: ", "the answer is ", "A, "),
            *("A and ", "answer to ", "if the answer is A ", "\\text{", "\\boxed{", "A. x\n"),
        )
    ],
    ids=lambda text: repr(text[:12]),
)
def test_grading_takes_linear_time(text: str) -> None:
    start = time.perf_counter()
    grade("A", text, "stop")
    assert time.perf_counter() - start < 0.5  # quadratic time would take seconds
