"""The measures beside a score, counted by hand on toy answers."""

import polars as pl
import pytest

from delta.core.schemas import ANSWER
from delta.core.tables import frame_of
from delta.evaluation.answer_measures import (
    AnswerMeasures,
    from_percent,
    mean_measures,
    measure_answers,
    read_measures,
    right_less_often_if_asked,
    to_percent,
)

ANSWERS = [  # extracted, outcome, outcome whatever the form, tokens
    ("7", "correct", "correct", 10),
    ("8", "incorrect", "incorrect", 20),
    ("9", "ungradable", "ungradable", 30),
    (None, "incorrect", "correct", 60),
]


def answers(*rows: tuple[str | None, str, str | None, int | None]) -> pl.DataFrame:
    names = ("extracted", "outcome", "flexible_outcome", "completion_tokens")
    return frame_of([dict(zip(names, row, strict=True)) for row in rows], ANSWER)


def test_three_of_four_answers_have_the_asked_form_and_one_of_those_is_right() -> None:
    assert measure_answers(answers(*ANSWERS)) == {
        "asked_form": 0.75,
        "right_if_asked_form": pytest.approx(1 / 3, abs=1e-6),
        "right_any_form": 0.5,
        "mean_tokens": 30.0,
    }


def test_without_a_box_nothing_is_right_among_the_boxed() -> None:
    measures = measure_answers(answers(ANSWERS[3], ANSWERS[3]))
    assert (measures["asked_form"], measures["right_if_asked_form"]) == (0.0, None)


def test_programs_have_one_form_and_a_model_without_tokens_no_length() -> None:
    measures = measure_answers(answers(("f", "correct", None, None)))
    assert measures == {
        "asked_form": 1.0,
        "right_if_asked_form": 1.0,
        "right_any_form": None,
        "mean_tokens": None,
    }


def test_of_an_older_score_only_the_cut_answers_are_known() -> None:
    old = {"value": 0.5, "n": 4, "samples": 1, "truncated": 1}
    assert read_measures(old) == AnswerMeasures(cut=0.25)
    assert read_measures({"value": 0.5}) == AnswerMeasures()


def test_a_group_has_the_mean_of_its_benchmarks_where_all_are_known() -> None:
    first, second = AnswerMeasures(1.0, 0.5, 0.5, 20.0, 0.0), AnswerMeasures(0.5, None, 0.25, 40.0)
    assert mean_measures([first, second]) == AnswerMeasures(0.75, None, 0.375, 30.0, None)


def test_percent_are_read_back() -> None:
    measures = AnswerMeasures(1.0, None, 0.5, 20.5, 0.25)
    row = to_percent(measures)
    assert (row["right_any_form"], row["mean_tokens"], row["cut"]) == (50.0, 20.5, 25.0)
    assert from_percent(row) == measures
    assert from_percent(None) == AnswerMeasures()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(0.8, 0.6, True), (0.6, 0.8, False), (None, 0.1, False), (0.8, None, False)],
)
def test_a_fall_needs_both_shares(
    before: float | None, after: float | None, expected: bool
) -> None:
    sides = (AnswerMeasures(right_if_asked_form=share) for share in (before, after))
    assert right_less_often_if_asked(*sides) is expected
