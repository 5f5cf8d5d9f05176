"""A model's answers to benchmarks and its scores (paper, section 3.1.2)."""

import itertools
from collections.abc import Iterator
from typing import Any

import polars as pl

from delta import prompts
from delta.core.errors import InputError
from delta.core.schemas import ANSWER
from delta.core.tables import frame_of
from delta.evaluation.benchmarks import BenchmarkParams
from delta.evaluation.models import EvaluationSampling
from delta.grading.grade_all import outcomes
from delta.grading.worker_pool import Case, GradingParams, check_share, count
from delta.inference.chat_formats import ChatFormat
from delta.inference.engine import Engine, SamplingParams, build_request, read_reply
from delta.inference.types import Reply, Request
from delta.stats import intervals

AskedRequests = list[tuple[tuple[dict[str, Any], int], Request]]


def requests_of(
    params: EvaluationSampling,
    benchmark: BenchmarkParams,
    engine: Engine,
    model: str,
    examples: int,
    questions: pl.DataFrame,
) -> AskedRequests:
    """((question, sample), request) for every answer; the samples of a question together."""
    sampling = SamplingParams(**params.model_dump(), max_tokens=benchmark.max_tokens)
    worked = prompts.worked_example_turns(examples)
    rows = []
    for question in questions.iter_rows(named=True):
        messages = engine.chat_format.messages(question["prompt"], worked, question["history"])
        prompt = engine.render(messages)
        for sample in range(benchmark.samples):
            rows.append(
                ((question, sample), build_request(sampling, engine, model, prompt, sample))
            )
    return rows


def grade_answers(
    grading: GradingParams,
    asked: dict[str, AskedRequests],
    replies: dict[Request, Reply],
    protocol: ChatFormat,
    golds: dict[str, Iterator[dict[str, Any]]],
) -> dict[str, pl.DataFrame]:
    """Graded answer rows of every benchmark, in the order of its `asked`.

    `golds`: of each benchmark its questions' ids and gold answers in order, read when they are
    needed. One pool of workers grades them all, since each worker loads Math-Verify for seconds.
    InputError where too many answers to a benchmark are ungradable, or its questions have changed.
    """
    rows = {name: [_row(name, *one, replies, protocol) for one in asked[name]] for name in asked}
    verdicts = outcomes(
        grading, (case for name, made in rows.items() for case in _cases(made, golds[name]))
    )
    tables = {}
    for name, made in rows.items():
        own = list(itertools.islice(verdicts, len(made)))
        check_share(f"benchmark {name}", grading, count(own))
        graded = [row | verdict._asdict() for row, verdict in zip(made, own, strict=True)]
        tables[name] = frame_of(graded, ANSWER)
    return tables


def _row(
    name: str,
    at: tuple[dict[str, Any], int],
    request: Request,
    replies: dict[Request, Reply],
    protocol: ChatFormat,
) -> dict[str, Any]:
    """An answer row before its verdict."""
    question, sample = at
    reply = replies[request]
    text, split = read_reply(reply, protocol, request.prompt)
    return {
        "benchmark": name,
        "question_id": question["question_id"],
        "sample": sample,
        "text": text,
        "answer_start": split.answer_start,
        "gold_answer": question["gold_answer"],
        "grader": question["grader"],
        "finish_reason": reply.finish_reason,
    }


def _cases(rows: list[dict[str, Any]], golds: Iterator[dict[str, Any]]) -> Iterator[Case]:
    for question_id, answers_to_it in itertools.groupby(rows, lambda row: row["question_id"]):
        gold = next(golds, {"question_id": "none"})
        if gold["question_id"] != question_id:
            raise InputError(
                f"question {question_id}: the table of questions has {gold['question_id']} there; "
                "it changed while the model was asked; run the same again"
            )
        for row in answers_to_it:
            start = row["answer_start"]
            answer = None if start is None else row["text"][start:]
            yield Case(row["grader"], gold["gold_answer"], answer, row["finish_reason"])


def score(
    benchmark: BenchmarkParams, version: str, questions: pl.DataFrame, rows: pl.DataFrame
) -> dict[str, Any]:
    """The share of correct answers (every question weighs the same) with its 95 % interval, and the
    two standard errors it is made of: `error` for other questions, `error_within` of it for other
    answers to the same ones (null with one answer a question).

    An answer without a box is wrong. An ungradable one is not correct either, as the paper counts,
    but how many there are stands beside the score, and so does how many were cut by length.
    Raises InputError where a question has not exactly `samples` answers: the mean over fewer
    would be another score under the same name.
    """
    samples = benchmark.samples
    clusters = (
        rows.group_by("question_id", maintain_order=True)
        .agg(pl.col("outcome").eq("correct"))["outcome"]
        .to_list()
    )
    if len(clusters) != questions.height or any(len(c) != samples for c in clusters):
        raise InputError(
            f"{rows.height} answers to {len(clusters)} questions; allowed: exactly {samples} to "
            f"each of {questions.height}"
        )
    interval = intervals.clustered_proportion(clusters)
    errors = intervals.standard_errors(clusters)
    reasons = rows["reason"].drop_nulls().value_counts(sort=True, name="answers")
    return {
        "value": round(interval.value, 6),
        "low": round(interval.low, 6),
        "high": round(interval.high, 6),
        "error": _rounded(errors.between_questions),
        "error_within": _rounded(errors.within_questions),
        "n": len(clusters),
        "samples": samples,
        "ungradable": rows.filter(pl.col("outcome") == "ungradable").height,
        "truncated": rows.filter(pl.col("finish_reason") == "length").height,
        "reasons": dict(sorted(reasons.iter_rows())),
        "group": benchmark.group,
        "benchmark_version": version,
    }


def _rounded(error: float | None) -> float | None:
    return None if error is None else round(error, 6)
