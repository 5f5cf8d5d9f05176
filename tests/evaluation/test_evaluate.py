"""A score gives all questions equal weight and needs every requested answer."""

from typing import Any

import polars as pl
import pytest

from delta.core.errors import InputError
from delta.core.params import validate
from delta.evaluation import evaluate
from delta.evaluation.benchmarks import BenchmarkParams
from delta.evaluation.evaluate import AnswerRequest, describe_scores, grade_answers, score
from delta.grading.verdict import Verdict
from delta.inference import chat_formats
from delta.inference.types import Reply, Request
from tests.helpers.benchmark_rows import sums_benchmark
from tests.helpers.grading_params import PARAMS

QUESTIONS = pl.DataFrame({"question_id": ["toy.0", "toy.1"]})


def score_of(*outcomes: tuple[str, ...]) -> dict[str, Any]:
    """Return the score of two questions with two answers each."""
    rows = [
        {
            "question_id": f"toy.{question}",
            "outcome": outcome,
            "finish_reason": "stop",
            "reason": None if outcome == "correct" else "no_box",
            "extracted": "7" if outcome == "correct" else None,
            "flexible_outcome": outcome,
            "completion_tokens": 40,
        }
        for question, answers in enumerate(outcomes)
        for outcome in answers
    ]
    entry = validate(
        "benchmarks.toy", BenchmarkParams, sums_benchmark(questions=2) | {"samples": 2}
    )
    return score(entry, "toy 1", QUESTIONS, pl.DataFrame(rows))


def test_a_score_has_its_interval_and_both_standard_errors() -> None:
    # The questions' fractions are 1 and 1/2: variance 1/8, over two questions 1/16. Within the
    # second question, the variance of the answers is 1/4 / (2 - 1); its mean has weight 1/2.
    result = score_of(("correct", "correct"), ("correct", "incorrect"))
    assert (result["value"], result["error"], result["error_within"]) == (0.75, 0.25, 0.25)
    assert result["low"] < 0.75 < result["high"]
    assert (result["n"], result["samples"], result["reasons"]) == (2, 2, {"no_box": 1})
    assert (result["asked_form"], result["right_if_asked_form"]) == (0.75, 1.0)
    assert (result["right_any_form"], result["mean_tokens"]) == (0.75, 40.0)


def test_an_ungradable_answer_is_not_correct_and_is_counted() -> None:
    result = score_of(("correct", "ungradable"), ("incorrect", "incorrect"))
    assert (result["value"], result["ungradable"]) == (0.25, 1)


def test_a_score_over_fewer_answers_than_requested_is_refused() -> None:
    with pytest.raises(InputError, match="3 answers to 2 questions; expected exactly 2 to each"):
        score_of(("correct", "correct"), ("correct",))
    with pytest.raises(InputError, match="2 answers to 1 questions"):
        score_of(("correct", "correct"))


# --- answers ---

LETTERS = {"first": "ABCD", "second": "DCBA"}  # the gold answers of two benchmarks


def grade(gold_answers: dict[str, list[tuple[str, str]]]) -> list[tuple[str, int, str]]:
    """Grade two answers to each question: its letter, and B."""
    requests: dict[str, list[AnswerRequest]] = {}
    replies: dict[Request, Reply] = {}
    for name, letters in LETTERS.items():
        requests[name] = []
        for number, letter in enumerate(letters):
            question = {"question_id": f"{name}.{number}", "gold_answer": None, "grader": "choice"}
            for sample, answer in enumerate((letter, "B")):
                request = Request("m", "e", f"Which? {answer}", 1.0, 1.0, 9, 0, sample)
                requests[name].append(((question, sample), request))
                replies[request] = Reply(f"\\boxed{{{answer}}}", "stop", 1, 1)
    golds = {
        name: iter([{"question_id": key, "gold_answer": letter} for key, letter in rows])
        for name, rows in gold_answers.items()
    }
    tables = grade_answers(PARAMS, requests, replies, chat_formats.load("plain"), golds)
    columns = ("question_id", "sample", "outcome")
    return [row for table in tables.values() for row in table.select(columns).iter_rows()]


def gold_rows() -> dict[str, list[tuple[str, str]]]:
    return {
        name: [(f"{name}.{number}", letter) for number, letter in enumerate(letters)]
        for name, letters in LETTERS.items()
    }


def test_each_answer_is_graded_by_its_questions_gold_answer() -> None:
    assert grade(gold_rows()) == [
        (f"{name}.{number}", sample, "correct" if sample == 0 or letter == "B" else "incorrect")
        for name, letters in LETTERS.items()
        for number, letter in enumerate(letters)
        for sample in (0, 1)
    ]


ANY_FORM = [  # grader, gold answer, reply, finish reason, outcome, outcome whatever the form
    ("choice", "C", r"\boxed{C}", "stop", "correct", "correct"),
    ("choice", "C", "Some say A or B, some C", "stop", "incorrect", "correct"),
    ("choice", "C", "Nobody knows", "stop", "incorrect", "incorrect"),
    ("choice", "", "Perhaps C", "stop", "ungradable", "ungradable"),
    ("math", "7", "So 3 + 4 = 7", "stop", "incorrect", "correct"),
    ("math", "7", "So 3 + 4 = 7", "length", "incorrect", "correct"),
    ("math", "7", "So 7 = 3 + 4", "stop", "incorrect", "incorrect"),
    ("math", "7", r"\boxed{7} is 3 + 4", "stop", "correct", "correct"),
    ("math", "7", "seven", "stop", "incorrect", "incorrect"),
]


def test_an_answer_in_another_form_is_graded_by_its_last_number_or_letter() -> None:
    requests: list[AnswerRequest] = []
    replies: dict[Request, Reply] = {}
    for number, (grader, _, text, finish_reason, _, _) in enumerate(ANY_FORM):
        question = {"question_id": f"toy.{number}", "gold_answer": None, "grader": grader}
        request = Request("m", "e", f"Which? {number}", 1.0, 1.0, 9, 0, 0)
        requests.append(((question, 0), request))
        replies[request] = Reply(text, finish_reason, 1, 1)
    golds = [
        {"question_id": f"toy.{number}", "gold_answer": row[1]}
        for number, row in enumerate(ANY_FORM)
    ]
    grading = PARAMS.model_copy(update={"max_ungradable": 1.0})
    tables = grade_answers(
        grading, {"toy": requests}, replies, chat_formats.load("plain"), {"toy": iter(golds)}
    )
    outcomes = tables["toy"].select("outcome", "flexible_outcome").rows()
    assert outcomes == [row[4:] for row in ANY_FORM]


def test_a_program_has_no_other_form(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = Verdict("correct", "print(7)", None)
    monkeypatch.setattr(evaluate, "grade_all", lambda _, cases: (verdict for _ in cases))
    question = {"question_id": "toy.0", "gold_answer": None, "grader": "code"}
    request = Request("m", "e", "Print 7.", 1.0, 1.0, 9, 0, 0)
    tables = grade_answers(
        PARAMS,
        {"toy": [((question, 0), request)]},
        {request: Reply("print(7)", "stop", 1, 1)},
        chat_formats.load("plain"),
        {"toy": iter([{"question_id": "toy.0", "gold_answer": "{}"}])},
    )
    assert tables["toy"].select("outcome", "flexible_outcome").rows() == [("correct", None)]


def test_questions_that_changed_during_generation_are_refused() -> None:
    changed = gold_rows()
    changed["second"].insert(0, ("second.9", "A"))
    with pytest.raises(
        InputError, match=r"question second\.0: the table of questions has second\.9"
    ):
        grade(changed)
    short = gold_rows()
    del short["first"][-1]
    with pytest.raises(
        InputError, match=r"question first\.3: the table of questions has none there"
    ):
        grade(short)


def test_the_line_of_a_model_has_the_mean_of_each_group() -> None:
    scores = {
        "products": {"group": "easy", "value": 0.26, "truncated": 36},
        "long-sums": {"group": "hard", "value": 0.0, "truncated": 0},
        "sums": {"group": "easy", "value": 0.04, "truncated": 0},
    }
    scores = {name: {"n": 50, "samples": 1} | row for name, row in scores.items()}
    line = "right: easy 15.0% †, hard 0.0%; † cut at the token limit: products 72%"
    assert describe_scores(scores) == line
    scores["products"]["truncated"] = 2
    assert describe_scores(scores) == "right: easy 15.0%, hard 0.0%"
