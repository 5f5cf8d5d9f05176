"""Reasoning traces: several samples of every problem from one generator (paper, section 3.1)."""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

import polars as pl
from pydantic import Field

from delta import prompts
from delta.engines import Ask, Request
from delta.engines.settings import Engine, SamplingParams, request
from delta.records import TRACE, trace_id
from delta.tables import frame_of

Counts = dict[str, Any]


class GeneratorParams(SamplingParams):
    """One entry of `generators`: a model and how it is asked."""

    model: str  # a name in `models`
    examples: Annotated[int, Field(ge=0)]  # worked examples before the problem
    samples: Annotated[int, Field(ge=1)]  # traces a problem


def requests_of(
    params: GeneratorParams, engine: Engine, model: str, problems: pl.DataFrame
) -> Iterator[tuple[tuple[str, int], Request]]:
    """((problem_id, sample), request) for every trace, the samples of a problem together."""
    for problem_id, statement in problems.select("problem_id", "statement").iter_rows():
        prompt = engine.render(prompts.conversation(statement, params.examples))
        for sample in range(params.samples):
            yield (problem_id, sample), request(params, engine, model, prompt, sample)


def generate(
    name: str,
    asked: list[tuple[tuple[str, int], Request]],
    ask: Ask,
) -> tuple[pl.DataFrame, Counts]:
    """Trace rows in the order of `asked`, and counts. One row for every request."""
    replies = dict(ask(request for _, request in asked))
    rows = []
    for (problem_id, sample), request_ in asked:
        reply = replies[request_]
        rows.append(
            {
                "trace_id": trace_id(problem_id, name, sample),
                "problem_id": problem_id,
                "generator": name,
                "sample": sample,
                **reply._asdict(),
            }
        )
    traces = frame_of(rows, TRACE)
    counts = {
        "traces": traces.height,
        "finish_reason": dict(sorted(Counter(traces["finish_reason"]).items())),
        "mean_completion_tokens": round(traces["completion_tokens"].sum() / traces.height, 1),
    }
    return traces, counts
