"""Reasoning traces: several samples of every problem from one generator (paper, section 3.1).

A generator samples from a model, or is a recording: traces that a dataset or a file already holds.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any

import polars as pl
from pydantic import Discriminator, Field, Tag

from delta import prompts
from delta.core.params import StrictModel
from delta.core.schemas import TRACE, trace_id
from delta.core.tables import TEXT_ROWS, frame_of
from delta.core.types import Counts
from delta.inference import chat_formats
from delta.inference.chat_formats import ChatFormat
from delta.inference.engine import Engine, SamplingParams, read_reply, request
from delta.inference.types import GenerateFn, Request


class SampledParams(SamplingParams):
    """A model and how it is asked."""

    model: str  # a name in `models`
    examples: Annotated[int, Field(ge=0)]  # worked examples before the problem
    samples: Annotated[int, Field(ge=1)]  # traces a problem


class RecordedParams(StrictModel):
    """A recording among the `models`."""

    model: str
    recorded: Annotated[int, Field(ge=1)] | None  # at most so many traces a problem; null: all


def _kind(entry: Any) -> str:
    return "recorded" if isinstance(entry, dict) and "recorded" in entry else "sampled"


GeneratorParams = Annotated[
    Annotated[SampledParams, Tag("sampled")] | Annotated[RecordedParams, Tag("recorded")],
    Discriminator(_kind),
]


def requests_of(
    params: SampledParams, engine: Engine, model: str, problems: pl.DataFrame
) -> Iterator[tuple[tuple[str, int], Request]]:
    """((problem_id, sample), request) for every trace, the samples of a problem together."""
    examples = prompts.worked_example_turns(params.examples)
    for problem_id, text, history in problems.select("problem_id", "prompt", "history").iter_rows():
        prompt = engine.render(engine.chat_format.messages(text, examples, history))
        for sample in range(params.samples):
            yield (problem_id, sample), request(params, engine, model, prompt, sample)


def generate(
    name: str,
    asked: list[tuple[tuple[str, int], Request]],
    ask: GenerateFn,
    chat_format: ChatFormat,
) -> Iterator[pl.DataFrame]:
    """Trace rows in the order of `asked`, few at a time, one for every request.

    All are asked for before the first row. `ask` remembers (reply_cache) and is asked once more for
    each row, since the text of all has gigabytes.
    """
    for _ in ask(request_ for _, request_ in asked):
        pass
    for start in range(0, len(asked), TEXT_ROWS):
        few = asked[start : start + TEXT_ROWS]
        replies = dict(ask(request_ for _, request_ in few))
        rows = []
        for (problem_id, sample), request_ in few:
            reply = replies[request_]
            text, split = read_reply(reply, chat_format, request_.prompt)
            rows.append(
                {
                    "trace_id": trace_id(problem_id, name, sample),
                    "problem_id": problem_id,
                    "generator": name,
                    "sample": sample,
                    "text": text,
                    **split._asdict(),
                    "finish_reason": reply.finish_reason,
                    "prompt_tokens": reply.prompt_tokens,
                    "completion_tokens": reply.completion_tokens,
                    "recorded_outcome": None,
                }
            )
        yield frame_of(rows, TRACE)


def from_recording(name: str, recorded: pl.DataFrame, chat_format: ChatFormat) -> pl.DataFrame:
    """Trace rows from the rows of a recording (delta.core.schemas.RECORDING)."""
    splits = [chat_format.split(text)._asdict() for text in recorded["text"]]
    borders = pl.DataFrame(
        splits, schema=dict.fromkeys(chat_formats.ReasoningSpan._fields, pl.Int64)
    )
    return (
        recorded.hstack(borders)
        .with_columns(
            trace_id=pl.format("{}/" + name + "/{}", "problem_id", "sample"),
            generator=pl.lit(name),
            prompt_tokens=pl.lit(None, pl.Int64),
            completion_tokens=pl.lit(None, pl.Int64),
            recorded_outcome="outcome",
        )
        .select(*TRACE.columns)
    )


def counts(traces: pl.DataFrame) -> Counts:
    """Of trace rows, which need no text."""
    tokens = traces["completion_tokens"].mean()
    return {
        "traces": traces.height,
        "finish_reason": dict(sorted(Counter(traces["finish_reason"]).items())),
        "reasoning_cut": traces["answer_start"].null_count(),
        "with_reasoning": traces.filter(pl.col("reasoning_end") > pl.col("reasoning_start")).height,
        "mean_completion_tokens": None if tokens is None else round(float(tokens), 1),  # type: ignore[arg-type]
    }
