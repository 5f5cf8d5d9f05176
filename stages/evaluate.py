"""evaluate@MODEL: answers to every benchmark and scores → data/answers/…, metrics/evaluate/…"""

from pathlib import Path
from typing import Any

import polars as pl

from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.files import remove_link, write_counts
from delta.core.schemas import ANSWER, QUESTION
from delta.evaluation import benchmarks
from delta.evaluation.benchmarks import BenchmarkParams
from delta.evaluation.evaluate import AskedRequests, grade_answers, requests_of, score
from delta.evaluation.models import EvaluatedParams, EvaluationSampling
from delta.grading import sandbox
from delta.grading.worker_pool import GradingParams
from delta.inference.chat_formats import ChatFormat
from delta.inference.model_client import open_model
from delta.inference.types import Reply, Request

GOLD = ["question_id", "gold_answer"]
AT_ONCE = 32  # gold answers that are read together


def main(console: Console, argv: list[str]) -> None:
    name = params.parse_item(argv, "evaluation.models")
    grading = params.load_section("grading", GradingParams)
    asked_of = params.load_sections("benchmarks", BenchmarkParams)
    questions = {one: read_questions(paths.questions(one)) for one in asked_of}
    with_code = [one for one, frame in questions.items() if "code" in frame["grader"]]
    # Refuses before any asking where programs cannot be run.
    boxed = {"sandbox": sandbox.mode(grading.code)} if with_code else {}
    asked, replies, engine, protocol = ask_model(console, name, asked_of, questions)
    scores: dict[str, dict[str, Any]] = {}
    remove_link(paths.answer_folder(name))
    golds = {one: tables.iter_rows(paths.questions(one), GOLD, AT_ONCE) for one in asked_of}
    for one, rows in grade_answers(grading, asked, replies, protocol, golds).items():
        tables.write(paths.answers(name, one), rows, ANSWER)
        benchmark = asked_of[one]
        version = benchmarks.version(one, benchmark, questions[one])
        found = score(benchmark, version, questions[one], rows)
        console.print(
            f"evaluate {name} {one}: {found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
        )
        scores[one] = found | {"engine": engine} | (boxed if one in with_code else {})
    write_counts(paths.score(name), scores, name)


def read_questions(path: Path) -> pl.DataFrame:
    """Without the gold answers of programs: their tests have gigabytes, and stay in the file."""
    light = [name for name in QUESTION.columns if name != "gold_answer"]
    frame = tables.read(path, QUESTION, light)
    if "code" in frame["grader"]:
        return frame.with_columns(gold_answer=pl.lit(None, pl.String))
    return tables.read(path, QUESTION)


def ask_model(
    console: Console,
    name: str,
    asked_of: dict[str, BenchmarkParams],
    questions: dict[str, pl.DataFrame],
) -> tuple[dict[str, AskedRequests], dict[Request, Reply], str, ChatFormat]:
    """What was asked, the replies, and the engine's name and protocol.

    The engine itself ends with this function: the graders need its processors.
    """
    sampling = params.load_section("evaluation.sampling", EvaluationSampling)
    evaluated = params.load_section(f"evaluation.models.{name}", EvaluatedParams)
    model = open_model(evaluated.model)
    as_asked = model.engine, model.fingerprint, evaluated.examples
    asked = {
        key: requests_of(sampling, benchmark, *as_asked, questions[key])
        for key, benchmark in asked_of.items()
    }
    # A score over fewer answers would be another score under the same name.
    item, title = f"evaluate-{name}", f"evaluate {name}"
    with model.replies(item, console, title, max_failed=0.0) as (ask, _):
        # All benchmarks at once: the engine is loaded once, and waits for the slowest answer once.
        replies = dict(ask(request for rows in asked.values() for _, request in rows))
    return asked, replies, model.engine.name, model.engine.chat_format


if __name__ == "__main__":
    run(main)
