"""A score: every question weighs the same, and nothing is scored over fewer answers than asked."""

from typing import Any

import polars as pl
import pytest

from delta.benchmarks import BenchmarkParams
from delta.errors import InputError
from delta.evaluate import score
from delta.params import checked
from tests.benchmark_rows import sums

QUESTIONS = pl.DataFrame({"question_id": ["toy.0", "toy.1"]})


def scored(*outcomes: tuple[str, ...]) -> dict[str, Any]:
    """The score of two questions with two answers each."""
    rows = [
        {
            "question_id": f"toy.{question}",
            "outcome": outcome,
            "finish_reason": "stop",
            "reason": None if outcome == "correct" else "no_box",
        }
        for question, answers in enumerate(outcomes)
        for outcome in answers
    ]
    entry = checked("benchmarks.toy", BenchmarkParams, sums(questions=2) | {"samples": 2})
    return score(entry, "toy 1", QUESTIONS, pl.DataFrame(rows))


def test_a_score_has_its_interval_and_both_standard_errors() -> None:
    # Questions' shares 1 and 1/2: variance 1/8, over two questions 1/16. Within the second, the
    # answers' variance is 1/4 / (2 - 1); its mean weighs a half.
    found = scored(("correct", "correct"), ("correct", "incorrect"))
    assert (found["value"], found["error"], found["error_within"]) == (0.75, 0.25, 0.25)
    assert found["low"] < 0.75 < found["high"]
    assert (found["n"], found["samples"], found["reasons"]) == (2, 2, {"no_box": 1})


def test_an_ungradable_answer_is_not_correct_and_is_counted_apart() -> None:
    found = scored(("correct", "ungradable"), ("incorrect", "incorrect"))
    assert (found["value"], found["ungradable"]) == (0.25, 1)


def test_a_score_over_fewer_answers_than_asked_is_refused() -> None:
    with pytest.raises(InputError, match="3 answers to 2 questions; allowed: exactly 2 to each of"):
        scored(("correct", "correct"), ("correct",))
    with pytest.raises(InputError, match="2 answers to 1 questions"):
        scored(("correct", "correct"))
