"""The files of the page of answers: what it says of each question, and bad input."""

from pathlib import Path

import pytest

from delta.core.errors import InputError
from delta.core.types import Counts
from delta.report.viewer import answer_page
from delta.report.viewer.answer_page import BenchmarkAnswers, kind_of
from tests.helpers.example_answers import example_answers
from tests.helpers.example_pairs import viewer_data

FOUR = example_answers(
    ["one", "two", "three", "four"], ["perhaps", "yes", "yes", "no"], ["yes", "no", "yes", "no"]
)


def build(folder: Path, *benchmarks: BenchmarkAnswers) -> Counts:
    return answer_page.write(folder / "answers", "zero-shot", "policy", benchmarks)


def test_a_question_is_gained_lost_both_or_neither(tmp_path: Path) -> None:
    counts = build(tmp_path, FOUR)
    columns = viewer_data(tmp_path, "index", "answers")["columns"]
    assert columns["kind"] == ["gained", "lost", "both", "neither"]
    assert columns["right"] == [[0, 1], [1, 0], [1, 1], [0, 0]]
    assert columns["right_any_form"] == [[1, 1], [1, 0], [1, 1], [0, 0]]
    assert columns["extracted"][0] == [None, "yes"]
    assert columns["gold"] == ["yes"] * 4
    assert {name: counts[name] for name in ("questions", *answer_page.KINDS)} == {
        "questions": 4,
        "gained": 1,
        "lost": 1,
        "both": 1,
        "neither": 1,
    }


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (0, 1, "gained"),
        (1 / 4, 2 / 4, "gained"),
        (3 / 4, 2 / 4, "lost"),
        (2 / 4, 2 / 4, "both"),
        (0, 0, "neither"),
    ],
)
def test_with_several_answers_the_fraction_that_is_right_decides(
    before: float, after: float, kind: str
) -> None:
    assert kind_of(before, after) == kind


def test_the_index_locates_the_prompt_and_all_answers_of_a_question(tmp_path: Path) -> None:
    several = example_answers(["x", "y"], ["no|yes", "a|b"], ["yes|yes", "yes|b"], "many", "stem")
    build(tmp_path, FOUR, several)
    columns = viewer_data(tmp_path, "index", "answers")["columns"]
    assert columns["benchmark"] == ["sums"] * 4 + ["many"] * 2
    assert columns["group"] == ["easy"] * 4 + ["stem"] * 2
    file, place = columns["at"][4]
    record = viewer_data(tmp_path, str(file), "answers")[place]
    assert record["prompt"] == "Answer this: x"
    assert [answer["parts"] for answer in record["before"]] == [
        [["answer", "no"]],
        [["answer", "yes"]],
    ]
    assert record["after"][1]["verdict"] == {
        "outcome": "correct",
        "extracted": "yes",
        "reason": None,
    }
    assert columns["samples"][4] == [2, 2]
    assert columns["right"][4] == [1, 2]


def test_an_answer_that_was_cut_in_its_reasoning_is_all_reasoning(tmp_path: Path) -> None:
    rows = [
        row | {"answer_start": start}
        for row, start in zip(FOUR.before, (None, 1, 2, 0), strict=True)
    ]
    build(tmp_path, FOUR._replace(before=rows))
    parts = [record["before"][0]["parts"] for record in viewer_data(tmp_path, "0", "answers")]
    assert parts == [
        [["reasoning", "perhaps"]],
        [["reasoning", "y"], ["answer", "es"]],
        [["reasoning", "ye"], ["answer", "s"]],
        [["answer", "no"]],
    ]


def test_tests_of_programs_are_not_on_the_page(tmp_path: Path) -> None:
    """Those of one problem may have gigabytes; the table of answers has no gold answer for them."""
    rows = [row | {"gold_answer": None} for row in FOUR.before]
    build(tmp_path, FOUR._replace(before=rows))
    assert viewer_data(tmp_path, "index", "answers")["columns"]["gold"] == [None] * 4


def test_answers_to_other_questions_are_an_error_and_the_old_page_stays(tmp_path: Path) -> None:
    build(tmp_path, FOUR)
    before = (tmp_path / "answers/data/index.js").read_bytes()
    for changed in (
        FOUR._replace(after=list(FOUR.after)[:3]),
        FOUR._replace(before=list(reversed(list(FOUR.before)))),
        FOUR._replace(questions=list(FOUR.questions)[1:]),
    ):
        with pytest.raises(InputError, match=r"benchmark sums: the questions .* differ at 'sums\."):
            build(tmp_path, changed)
    assert (tmp_path / "answers/data/index.js").read_bytes() == before


def test_a_long_answer_is_truncated_with_a_note(tmp_path: Path) -> None:
    counts = build(tmp_path, example_answers(["x"], ["yes" + "x" * 2_000_000], ["no"]))
    assert counts["bytes"] < 200_000
    ((_, text),) = viewer_data(tmp_path, "0", "answers")[0]["before"][0]["parts"]
    assert "[1,500,003 characters are left out here" in text
