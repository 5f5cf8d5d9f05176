"""Ask a model the questions of benchmarks, grade its answers, and score them (section 3.1.2)."""

import itertools
from collections.abc import Iterator, Mapping

import polars as pl

from delta.core.errors import InputError
from delta.core.schemas import ANSWER
from delta.core.tables import frame_of
from delta.core.types import Row
from delta.evaluation import cut_answers
from delta.evaluation.answer_measures import measure_answers
from delta.evaluation.benchmarks import BenchmarkParams
from delta.evaluation.config import EvaluationSampling
from delta.grading.config import GradingParams
from delta.grading.flexible_answer import in_asked_form
from delta.grading.grade_all import check_max_ungradable, count_verdicts, grade_all
from delta.grading.graders import Case
from delta.grading.verdict import Verdict
from delta.inference.chat_formats import ChatFormat
from delta.inference.config import SamplingParams
from delta.inference.engine import Engine, build_request, read_reply
from delta.inference.types import Reply, Request
from delta.prompts import prompt_files
from delta.stats import intervals

# ((question row, index of the sample (0-based)), request)
AnswerRequest = tuple[tuple[Row, int], Request]


def build_requests(
    params: EvaluationSampling,
    benchmark: BenchmarkParams,
    engine: Engine,
    model: str,
    examples: int,
    questions: pl.DataFrame,
) -> list[AnswerRequest]:
    """Return a request for every answer; the samples of a question are adjacent."""
    sampling = SamplingParams(**params.model_dump(), max_tokens=benchmark.max_tokens)
    worked_examples = prompt_files.worked_example_turns(examples)
    requests = []
    for question in questions.iter_rows(named=True):
        messages = engine.chat_format.messages(
            question["prompt"], worked_examples, question["history"]
        )
        prompt = engine.render(messages)
        for sample in range(benchmark.samples):
            request = build_request(sampling, engine, model, prompt, sample)
            requests.append(((question, sample), request))
    return requests


def grade_answers(
    grading: GradingParams,
    requests: dict[str, list[AnswerRequest]],
    replies: dict[Request, Reply],
    chat_format: ChatFormat,
    gold_answers: dict[str, Iterator[Row]],
) -> dict[str, pl.DataFrame]:
    """Return the graded answers of every benchmark, in the order of its requests.

    An answer that holds a number or option letter is graded a second time, by that alone
    (`flexible_outcome`). `gold_answers` yields the rows {question_id, gold_answer} of each
    benchmark in order. One pool of workers grades all benchmarks, because each worker takes seconds
    to load Math-Verify. Raises InputError if too many answers to a benchmark are ungradable, or if
    its questions have changed.
    """
    rows = {
        name: [_row(name, *request, replies, chat_format) for request in requests[name]]
        for name in requests
    }
    cases = (case for name in rows for case in _cases(rows[name], gold_answers[name]))
    verdicts = grade_all(grading, cases)
    tables = {}
    for name, answers in rows.items():
        graded = [_graded(row, verdicts) for row in answers]
        check_max_ungradable(
            f"benchmark {name}", grading, count_verdicts([verdict for _, verdict in graded])
        )
        tables[name] = frame_of([row for row, _ in graded], ANSWER)
    return tables


def _row(
    name: str,
    key: tuple[Row, int],
    request: Request,
    replies: dict[Request, Reply],
    chat_format: ChatFormat,
) -> Row:
    """Return the row of an answer, without its verdict."""
    question, sample = key
    reply = replies[request]
    text, span = read_reply(reply, chat_format, request.prompt)
    return {
        "benchmark": name,
        "question_id": question["question_id"],
        "sample": sample,
        "text": text,
        "answer_start": span.answer_start,
        "gold_answer": question["gold_answer"],
        "grader": question["grader"],
        "finish_reason": reply.finish_reason,
        "completion_tokens": reply.completion_tokens,
    }


def _cases(rows: list[Row], gold_answers: Iterator[Row]) -> Iterator[Case]:
    for question_id, answers in itertools.groupby(rows, lambda row: row["question_id"]):
        gold = next(gold_answers, {"question_id": "none"})
        if gold["question_id"] != question_id:
            raise InputError(
                f"question {question_id}: the table of questions has {gold['question_id']} there; "
                "it changed while the model answered; run the same command again"
            )
        for row in answers:
            answer = _answer(row)
            yield Case(row["grader"], gold["gold_answer"], answer, row["finish_reason"])
            if (boxed := in_asked_form(row["grader"], answer)) is not None:
                yield Case(row["grader"], gold["gold_answer"], boxed, "stop")


def _answer(row: Row) -> str | None:
    start = row["answer_start"]
    return None if start is None else row["text"][start:]


def _graded(row: Row, verdicts: Iterator[Verdict]) -> tuple[Row, Verdict]:
    """Return a row with its verdict, and the verdict. `verdicts` are those of `_cases`, in order.

    A correct answer is correct in any form. Without a number or letter to grade, both outcomes are
    the same.
    """
    verdict = next(verdicts)
    flexible: str | None = verdict.outcome
    if in_asked_form(row["grader"], _answer(row)) is not None:
        second = next(verdicts)
        flexible = flexible if flexible == "correct" else second.outcome
    if row["grader"] == "code":
        flexible = None
    return row | verdict._asdict() | {"flexible_outcome": flexible}, verdict


def score(
    benchmark: BenchmarkParams, version: str, questions: pl.DataFrame, answers: pl.DataFrame
) -> Row:
    """Return the fraction of correct answers, with its 95% interval and its standard errors.

    All questions have equal weight. `error` is the standard error for new questions; `error_within`
    is the part due to new answers to the same questions (null with one answer per question). An
    answer without a box is wrong. An ungradable answer counts as not correct, as in the paper.
    Ungradable answers and those cut by length are counted, and the answers are measured
    (answer_measures).

    Raises InputError if a question does not have exactly `samples` answers, because the mean over
    fewer would be a different score.
    """
    samples = benchmark.samples
    clusters = (
        answers.group_by("question_id", maintain_order=True)
        .agg(pl.col("outcome").eq("correct"))["outcome"]
        .to_list()
    )
    if len(clusters) != questions.height or any(len(cluster) != samples for cluster in clusters):
        raise InputError(
            f"{answers.height} answers to {len(clusters)} questions; expected exactly {samples} "
            f"to each of {questions.height}"
        )
    interval = intervals.clustered_proportion(clusters)
    errors = intervals.standard_errors(clusters)
    reasons = answers["reason"].drop_nulls().value_counts(sort=True, name="answers")
    return {
        "value": round(interval.value, 6),
        "low": round(interval.low, 6),
        "high": round(interval.high, 6),
        "error": _rounded(errors.between_questions),
        "error_within": _rounded(errors.within_questions),
        "n": len(clusters),
        "samples": samples,
        "ungradable": answers.filter(pl.col("outcome") == "ungradable").height,
        "truncated": answers.filter(pl.col("finish_reason") == "length").height,
        **measure_answers(answers),
        "reasons": dict(sorted(reasons.iter_rows())),
        "group": benchmark.group,
        "benchmark_version": version,
    }


def _rounded(error: float | None) -> float | None:
    return None if error is None else round(error, 6)


def describe_scores(scores: Mapping[str, Row]) -> str:
    """Return the share of right answers by group: the mean over its benchmarks (paper 3.1.2).

    A group of which a benchmark had many cut answers is marked, and these are named.
    """
    groups: dict[str, list[str]] = {}
    for name, score_ in scores.items():
        groups.setdefault(score_["group"], []).append(name)
    means = []
    cut = {name: cut_answers.cut_percent(score_) for name, score_ in scores.items()}
    for group, members in groups.items():
        mean = sum(scores[name]["value"] for name in members) / len(members)
        share = cut_answers.largest(cut[name] for name in members)
        means.append(cut_answers.marked(f"{group} {mean:.1%}", share))
    return "; ".join(filter(None, [f"right: {', '.join(means)}", cut_answers.describe(cut)]))
