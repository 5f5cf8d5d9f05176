"""Write a model's answers to data/answers/MODEL/.

Its scores go to data/counts/evaluate/MODEL.json.
"""

from pathlib import Path
from typing import Any

import polars as pl

from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.files import remove_link, write_counts
from delta.core.schemas import ANSWER, QUESTION
from delta.evaluation.benchmarks import BenchmarkParams, benchmark_version
from delta.evaluation.config import EvaluatedModelParams, EvaluationSampling
from delta.evaluation.evaluate import (
    AnswerRequest,
    build_requests,
    describe_scores,
    grade_answers,
    score,
)
from delta.grading import sandbox
from delta.grading.config import GradingParams
from delta.inference.chat_formats import ChatFormat
from delta.inference.model_client import open_model
from delta.inference.types import Reply, Request

GOLD_COLUMNS = ["question_id", "gold_answer"]
BATCH_SIZE = 32  # gold answers in memory at once


def main(console: Console, model: str) -> None:
    params.check_item(model, "evaluation.models")
    grading = params.load_section("grading", GradingParams)
    benchmarks = params.load_sections("benchmarks", BenchmarkParams)
    questions = {name: read_questions(paths.questions(name)) for name in benchmarks}
    with_code = [name for name, rows in questions.items() if "code" in rows["grader"]]
    # Raise an error here, before the model answers, if programs cannot be run.
    sandbox_mode = {"sandbox": sandbox.check_sandbox(grading.code)} if with_code else {}
    requests, replies, engine, chat_format = ask_model(console, model, benchmarks, questions)
    scores: dict[str, dict[str, Any]] = {}
    remove_link(paths.answer_folder(model))
    gold_answers = {
        name: tables.iter_rows(paths.questions(name), GOLD_COLUMNS, BATCH_SIZE)
        for name in benchmarks
    }
    graded = grade_answers(grading, requests, replies, chat_format, gold_answers)
    for name, answers in graded.items():
        tables.write(paths.answers(model, name), answers, ANSWER)
        version = benchmark_version(name, benchmarks[name], questions[name])
        result = score(benchmarks[name], version, questions[name], answers)
        scores[name] = result | {"engine": engine} | (sandbox_mode if name in with_code else {})
    write_counts(paths.score(model), scores, model)
    console.finish(describe_scores(scores))


def read_questions(path: Path) -> pl.DataFrame:
    """Read questions. Gold answers of programs are left out: their tests have gigabytes."""
    columns = [name for name in QUESTION.columns if name != "gold_answer"]
    questions = tables.read(path, QUESTION, columns)
    if "code" in questions["grader"]:
        return questions.with_columns(gold_answer=pl.lit(None, pl.String))
    return tables.read(path, QUESTION)


def ask_model(
    console: Console,
    name: str,
    benchmarks: dict[str, BenchmarkParams],
    questions: dict[str, pl.DataFrame],
) -> tuple[dict[str, list[AnswerRequest]], dict[Request, Reply], str, ChatFormat]:
    """Return the requests, the replies, the engine's name and the chat format.

    The engine stops before this returns, because the graders need its processors.
    """
    sampling = params.load_section("evaluation.sampling", EvaluationSampling)
    evaluated = params.load_section(f"evaluation.models.{name}", EvaluatedModelParams)
    model = open_model(evaluated.model)
    requests = {
        key: build_requests(
            sampling,
            benchmark,
            model.engine,
            model.fingerprint,
            evaluated.examples,
            questions[key],
        )
        for key, benchmark in benchmarks.items()
    }
    item, title = f"evaluate-{name}", f"evaluate {name}"
    # max_failed=0: a score over fewer answers would not be comparable.
    with model.replies(item, console, title, max_failed=0.0) as (generate, _):
        # All benchmarks at once: the engine loads once and waits once for the slowest reply.
        replies = dict(generate(request for rows in requests.values() for _, request in rows))
    return requests, replies, model.engine.name, model.engine.chat_format


if __name__ == "__main__":
    run(main)
