"""Stage `generate`: one generator's traces, several samples of every problem (paper, section 3.1).

A generator samples from a model, or is a recording: traces that a dataset or a file already holds;
or it is a solver, which computes them with faults at known rates.
"""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

import polars as pl
from pydantic import Discriminator, Field, Tag

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.schemas import TRACE, trace_id
from delta.core.tables import TEXT_ROWS, frame_of
from delta.core.types import Counts
from delta.data.steps import read_steps
from delta.inference.chat_formats import ChatFormat, ReasoningSpan
from delta.inference.config import SamplingParams
from delta.inference.engine import Engine, build_request, read_reply
from delta.inference.types import GenerateFn, Request
from delta.prompts import prompt_files
from delta.solver.faults import FAULTS, FaultRates
from delta.solver.solve import solve


class SampledParams(SamplingParams):
    """A generator that samples from a model."""

    model: str  # a name in `models`
    examples: Annotated[int, Field(ge=0)]  # worked examples before the problem
    samples: Annotated[int, Field(ge=1)]  # traces per problem


class RecordedParams(StrictModel):
    """A generator whose traces are a recording among the `models`."""

    model: str
    recorded_samples: Annotated[int, Field(ge=1)] | None  # per problem at most; null: all


class SolvedParams(StrictModel):
    """A generator whose traces are a solver's: worked solutions with faults."""

    model: str
    faults: FaultRates
    samples: Annotated[int, Field(ge=1)]  # traces per problem
    seed: Annotated[int, Field(ge=0)]


def _generator_kind(entry: Any) -> str:
    keys = entry.keys() if isinstance(entry, dict) else set()
    if "faults" in keys:
        return "solved"
    return "recorded" if "recorded_samples" in keys else "sampled"


GeneratorParams = Annotated[
    Annotated[SampledParams, Tag("sampled")]
    | Annotated[RecordedParams, Tag("recorded")]
    | Annotated[SolvedParams, Tag("solved")],
    Discriminator(_generator_kind),
]


def trace_requests(
    params: SampledParams, engine: Engine, model: str, problems: pl.DataFrame
) -> Iterator[tuple[tuple[str, int], Request]]:
    """Yield ((problem_id, sample), request) for every trace, the samples of a problem together."""
    examples = prompt_files.worked_example_turns(params.examples)
    for problem_id, text, history in problems.select("problem_id", "prompt", "history").iter_rows():
        prompt = engine.render(engine.chat_format.messages(text, examples, history))
        for sample in range(params.samples):
            yield (problem_id, sample), build_request(params, engine, model, prompt, sample)


def generate_traces(
    name: str,
    requests: list[tuple[tuple[str, int], Request]],
    generate: GenerateFn,
    chat_format: ChatFormat,
) -> Iterator[pl.DataFrame]:
    """Yield trace rows in batches, one row for every request, in their order.

    All requests are answered before the first batch. `generate` uses a reply cache, and is called
    again for each batch, since all texts together have gigabytes.
    """
    for _ in generate(request for _, request in requests):
        pass
    for start in range(0, len(requests), TEXT_ROWS):
        batch = requests[start : start + TEXT_ROWS]
        replies = dict(generate(request for _, request in batch))
        rows = []
        for (problem_id, sample), request in batch:
            reply = replies[request]
            text, span = read_reply(reply, chat_format, request.prompt)
            rows.append(
                {
                    "trace_id": trace_id(problem_id, name, sample),
                    "problem_id": problem_id,
                    "generator": name,
                    "sample": sample,
                    "text": text,
                    **span._asdict(),
                    "finish_reason": reply.finish_reason,
                    "prompt_tokens": reply.prompt_tokens,
                    "completion_tokens": reply.completion_tokens,
                    "recorded_outcome": None,
                }
            )
        yield frame_of(rows, TRACE)


def recording_to_traces(name: str, rows: pl.DataFrame, chat_format: ChatFormat) -> pl.DataFrame:
    """Return trace rows for the rows of a recording (delta.core.schemas.RECORDING)."""
    schema = dict.fromkeys(ReasoningSpan._fields, pl.Int64)
    spans = [chat_format.split(text)._asdict() for text in rows["text"]]
    return (
        rows.hstack(pl.DataFrame(spans, schema=schema))
        .with_columns(
            trace_id=pl.format("{}/" + name + "/{}", "problem_id", "sample"),
            generator=pl.lit(name),
            prompt_tokens=pl.lit(None, pl.Int64),
            completion_tokens=pl.lit(None, pl.Int64),
            recorded_outcome="outcome",
        )
        .select(*TRACE.columns)
    )


def solved_traces(
    name: str, params: SolvedParams, problems: pl.DataFrame, chat_format: ChatFormat
) -> tuple[pl.DataFrame, Counts]:
    """Return trace rows of a solver, and how often each fault is in them.

    A trace depends on the generator's parameters, its problem and its sample, and on no other
    trace. Raises InputError where a problem has no steps.
    """
    rows, planted = [], Counter[str]()
    rates: dict[str, float] = dict(params.faults.items())
    for problem_id, metadata in problems.select("problem_id", "metadata").iter_rows():
        steps = read_steps(metadata)
        if steps is None:
            raise InputError(
                f"generators.{name}: problem {problem_id} has no steps to solve; expected only "
                "problems.sources of the kind arithmetic"
            )
        for sample in range(params.samples):
            rng = random.Random(f"{params.seed} {problem_id} {sample}")
            solution = solve(steps, rates, rng)
            planted.update(solution.faults)
            rows.append(
                {
                    "trace_id": trace_id(problem_id, name, sample),
                    "problem_id": problem_id,
                    "generator": name,
                    "sample": sample,
                    "text": solution.text,
                    **chat_format.split(solution.text)._asdict(),
                    "finish_reason": "stop",
                }
            )
    return frame_of(rows, TRACE), {fault: planted[fault] for fault in FAULTS if planted[fault]}


def count_traces(traces: pl.DataFrame) -> Counts:
    """Return the stage's counts. The trace rows need not have texts."""
    tokens = traces["completion_tokens"].mean()
    return {
        "traces": traces.height,
        "finish_reason": dict(sorted(Counter(traces["finish_reason"]).items())),
        "reasoning_cut": traces["answer_start"].null_count(),
        "with_reasoning": traces.filter(pl.col("reasoning_end") > pl.col("reasoning_start")).height,
        "mean_completion_tokens": None if tokens is None else round(float(tokens), 1),  # type: ignore[arg-type]
    }
