"""A score: every question weighs the same, and nothing is scored over fewer answers than asked."""

from typing import Any

import polars as pl
import pytest

from delta.core.errors import InputError
from delta.core.params import validate
from delta.evaluation.benchmarks import BenchmarkParams
from delta.evaluation.evaluate import AskedRequests, grade_answers, score
from delta.inference import chat_formats
from delta.inference.types import Reply, Request
from tests.grading.test_worker_pool import PARAMS
from tests.helpers.benchmark_rows import sums_benchmark

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
    entry = validate(
        "benchmarks.toy", BenchmarkParams, sums_benchmark(questions=2) | {"samples": 2}
    )
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


# --- answers ---

LETTERS = {"first": "ABCD", "second": "DCBA"}  # two benchmarks' gold answers


def graded(golds: dict[str, list[tuple[str, str]]]) -> list[tuple[str, int, str]]:
    """Two answers to each question: its letter, and always B. Questions have one prompt."""
    asked: dict[str, AskedRequests] = {}
    replies: dict[Request, Reply] = {}
    for name, letters in LETTERS.items():
        asked[name] = []
        for number, letter in enumerate(letters):
            question = {"question_id": f"{name}.{number}", "gold_answer": None, "grader": "choice"}
            for sample, said in enumerate((letter, "B")):
                request = Request("m", "e", f"Which? {said}", 1.0, 1.0, 9, 0, sample)
                asked[name].append(((question, sample), request))
                replies[request] = Reply(f"\\boxed{{{said}}}", "stop", 1, 1)
    given = {
        name: iter([{"question_id": one, "gold_answer": letter} for one, letter in rows])
        for name, rows in golds.items()
    }
    tables = grade_answers(PARAMS, asked, replies, chat_formats.load("plain"), given)
    columns = ("question_id", "sample", "outcome")
    return [row for table in tables.values() for row in table.select(columns).iter_rows()]


def of_file() -> dict[str, list[tuple[str, str]]]:
    return {
        name: [(f"{name}.{number}", letter) for number, letter in enumerate(letters)]
        for name, letters in LETTERS.items()
    }


def test_each_answer_is_graded_by_its_own_questions_gold() -> None:
    assert graded(of_file()) == [
        (f"{name}.{number}", sample, "correct" if sample == 0 or letter == "B" else "incorrect")
        for name, letters in LETTERS.items()
        for number, letter in enumerate(letters)
        for sample in (0, 1)
    ]


def test_questions_that_changed_while_the_model_was_asked_are_refused() -> None:
    moved = of_file()
    moved["second"].insert(0, ("second.9", "A"))
    with pytest.raises(
        InputError, match=r"question second\.0: the table of questions has second\.9"
    ):
        graded(moved)
    short = of_file()
    del short["first"][-1]
    with pytest.raises(
        InputError, match=r"question first\.3: the table of questions has none there"
    ):
        graded(short)
