"""Answers of a base and a policy to a few questions, for the tests of the page of answers."""

from collections.abc import Sequence
from pathlib import Path

from delta.core import params, paths, tables
from delta.core.schemas import ANSWER, QUESTION
from delta.core.tables import frame_of
from delta.core.types import Row
from delta.evaluation.config import EvaluatedModelParams, baselines
from delta.report.viewer.answer_page import BenchmarkAnswers


def example_answers(
    statements: Sequence[str],
    before: Sequence[str],
    after: Sequence[str],
    name: str = "sums",
    group: str = "easy",
) -> BenchmarkAnswers:
    """Return one answer of each model to each question; "yes|no" is two answers to one.

    An answer with "yes" in it is correct. One with "perhaps" is so only in another form.
    """
    questions = [question_row(name, number, text) for number, text in enumerate(statements)]
    return BenchmarkAnswers(
        name, group, questions, answer_rows(name, before), answer_rows(name, after)
    )


def question_row(benchmark: str, number: int, statement: str) -> Row:
    return {
        "question_id": f"{benchmark}.{number}",
        "statement": statement,
        "prompt": f"Answer this: {statement}",
        "history": [],
        "gold_answer": "yes",
        "grader": "math",
        "metadata": "{}",
    }


def answer_rows(benchmark: str, texts: Sequence[str]) -> list[Row]:
    return [
        answer_row(benchmark, number, sample, answer)
        for number, answers in enumerate(texts)
        for sample, answer in enumerate(answers.split("|"))
    ]


def answer_row(benchmark: str, number: int, sample: int, text: str) -> Row:
    is_right = "yes" in text
    return {
        "benchmark": benchmark,
        "question_id": f"{benchmark}.{number}",
        "sample": sample,
        "text": text,
        "answer_start": 0,
        "gold_answer": "yes",
        "grader": "math",
        "outcome": "correct" if is_right else "incorrect",
        "extracted": "yes" if is_right else None,
        "reason": None if is_right else "no_box",
        "flexible_outcome": "correct" if is_right or "perhaps" in text else "incorrect",
        "finish_reason": "stop" if is_right else "length",
        "completion_tokens": len(text.split()),
    }


def write_answer_tables(
    folder: Path, statements: Sequence[str], before: Sequence[str], after: Sequence[str]
) -> None:
    """Write these questions and answers as those of every benchmark of `folder`'s params.yaml."""
    data, profile = folder / paths.DATA, folder / "params.yaml"
    models = params.load_sections("evaluation.models", EvaluatedModelParams, profile)
    (base,) = baselines(models, params.get("train.base", profile))
    for name in params.get("benchmarks", profile):
        answers = example_answers(statements, before, after, name)
        path = data / f"questions/{name}.parquet"
        tables.write(path, frame_of(list(answers.questions), QUESTION), QUESTION)
        for model, rows in ((base, answers.before), (paths.POLICY, answers.after)):
            path = data / f"answers/{model}/{name}.parquet"
            tables.write(path, frame_of(list(rows), ANSWER), ANSWER)
