"""A model's answers to one benchmark and its score (paper, section 3.4)."""

from typing import Annotated, Any

import polars as pl
from pydantic import Field

from delta import benchmarks, prompts, stats
from delta.benchmarks import BenchmarkParams, Question
from delta.engines import Ask, Request
from delta.engines.settings import Engine, SamplingParams, request
from delta.graders.pool import VerifyParams, check_share, count, outcomes
from delta.params import Section
from delta.records import ANSWER
from delta.tables import frame_of

Asked = list[tuple[tuple[Question, int], Request]]


class EvaluationParams(Section):
    models: Annotated[list[str], Field(min_length=1)]  # names in `models`, and "policy"
    sampling: SamplingParams


def requests_of(
    params: SamplingParams,
    benchmark: BenchmarkParams,
    engine: Engine,
    model: str,
    asked: list[Question],
) -> Asked:
    """((question, sample), request) for every answer. No worked examples: the policy is asked
    what the weakest generator is asked."""
    rows = []
    for question in asked:
        prompt = engine.render(prompts.conversation(question.statement, num_examples=0))
        for sample in range(benchmark.samples):
            rows.append(((question, sample), request(params, engine, model, prompt, sample)))
    return rows


def answers(
    name: str,
    grading: VerifyParams,
    asked: Asked,
    ask: Ask,
) -> pl.DataFrame:
    """Answer rows in the order of `asked`, graded."""
    replies = dict(ask(request_ for _, request_ in asked))
    cases = [
        (question.gold_answer, replies[request_].text, replies[request_].finish_reason)
        for (question, _), request_ in asked
    ]
    rows = []
    verdicts = list(outcomes(grading, cases))
    check_share(f"benchmark {name}", grading, count(verdicts))
    for ((question, sample), request_), verdict in zip(asked, verdicts, strict=True):
        reply = replies[request_]
        rows.append(
            {
                "benchmark": name,
                "question_id": question.question_id,
                "sample": sample,
                "text": reply.text,
                "gold_answer": question.gold_answer,
                "finish_reason": reply.finish_reason,
                **verdict._asdict(),
            }
        )
    return frame_of(rows, ANSWER)


def score(benchmark: BenchmarkParams, asked: list[Question], rows: pl.DataFrame) -> dict[str, Any]:
    """The share of correct answers (every question weighs the same) with its 95 % interval.

    An answer without a box is wrong. An ungradable one is not correct either, as the paper counts,
    but how many there are stands beside the score, and so does how many were cut by length.
    Raises ValueError where a question has not exactly `samples` answers.
    """
    clusters = (
        rows.group_by("question_id", maintain_order=True)
        .agg(pl.col("outcome").eq("correct"))["outcome"]
        .to_list()
    )
    if len(clusters) != len(asked) or any(len(c) != benchmark.samples for c in clusters):
        raise ValueError(f"{rows.height} answers for {len(asked)} × {benchmark.samples} asked")
    interval = stats.clustered_share(clusters)
    return {
        "value": round(interval.value, 6),
        "low": round(interval.low, 6),
        "high": round(interval.high, 6),
        "n": len(clusters),
        "samples": benchmark.samples,
        "ungradable": rows.filter(pl.col("outcome") == "ungradable").height,
        "no_box": rows.filter(pl.col("reason").is_in(["no_box", "cut"])).height,
        "truncated": rows.filter(pl.col("finish_reason") == "length").height,
        "group": benchmark.group,
        "benchmark_version": benchmarks.version(benchmark, asked),
    }
