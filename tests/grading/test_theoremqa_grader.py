"""The theorem grader: every type of answer has a rule."""

import json

import pytest

from delta.grading.theoremqa_grader import grade
from delta.grading.verdict import Verdict
from tests.helpers.grading_cases import CaseRow, check, rows


@pytest.mark.parametrize("row", rows("theorem"), ids=str)
def test_every_row_of_the_table_has_its_outcome(row: CaseRow) -> None:
    check(grade, row)


@pytest.mark.parametrize(
    "gold", ["", "8", "{", '{"answer": 8}', '{"answer_type": "integer", "answer": true}']
)
def test_a_malformed_gold_is_ungradable(gold: str) -> None:
    verdict = grade(gold, r"\boxed{8}", "stop")
    assert verdict.outcome == "ungradable"
    assert verdict.reason == ("unparsable_gold" if gold else "empty_gold")


def test_a_cut_answer_has_the_reason_cut() -> None:
    gold = json.dumps({"answer_type": "integer", "answer": 8})
    assert grade(gold, None, "length") == Verdict("incorrect", None, "cut")
    assert grade(gold, "So it is", "length") == Verdict("incorrect", None, "cut")
