"""Generate several traces of every problem and write them to data/traces/NAME.parquet."""

from pathlib import Path
from typing import Any

import polars as pl

from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.files import write_counts
from delta.core.schemas import PROBLEM, TRACE
from delta.data import recorded_traces
from delta.inference import chat_formats
from delta.inference.chat_formats import ChatFormat
from delta.inference.generate import (
    GeneratorParams,
    RecordedParams,
    SampledParams,
    SolvedParams,
    count_traces,
    generate_traces,
    recording_to_traces,
    solved_traces,
    trace_requests,
)
from delta.inference.model_client import open_model


def main(console: Console, name: str) -> None:
    params.check_item(name, "generators")
    generator: SampledParams | RecordedParams | SolvedParams = params.load_section(
        f"generators.{name}",
        GeneratorParams,  # type: ignore[arg-type]  # a union is no type[S] to mypy
    )
    problems = tables.read(paths.PROBLEMS, PROBLEM)
    path = paths.traces(name)
    if isinstance(generator, SampledParams):
        details = ask_model(console, name, generator, problems, path)
    elif isinstance(generator, SolvedParams):
        rows, planted = solved_traces(name, generator, problems, read_chat_format(generator.model))
        tables.write(path, rows, TRACE)
        details = {"planted": planted}
    else:
        folder = paths.model(generator.model)
        parts, details = recorded_traces.read_recording(
            problems, folder, generator.recorded_samples
        )
        chat_format = read_chat_format(generator.model)
        traces = (recording_to_traces(name, rows, chat_format) for rows in parts)
        tables.write_batches(path, traces, TRACE)
    columns = [column for column in TRACE.columns if column != "text"]
    counts = count_traces(tables.read(path, TRACE, columns))
    write_counts(paths.counts("generate", name), counts | details, "generate", name)
    finished = counts["finish_reason"].get("stop", 0) / max(1, counts["traces"])
    tokens = counts["mean_completion_tokens"]
    console.finish(
        f"{counts['traces']} traces, {finished:.0%} finished"
        + ("" if tokens is None else f", {tokens:.0f} tokens on average")
    )


def read_chat_format(model: str) -> ChatFormat:
    return chat_formats.load(params.get(f"serving.{model}.chat_format"))


def ask_model(
    console: Console,
    name: str,
    generator: SampledParams,
    problems: pl.DataFrame,
    path: Path,
) -> dict[str, Any]:
    model = open_model(generator.model)
    requests = list(trace_requests(generator, model.engine, model.fingerprint, problems))
    with model.replies(f"generate-{name}", console, f"generate {name}") as (generate, cache):
        traces = generate_traces(name, requests, generate, model.engine.chat_format)
        tables.write_batches(path, traces, TRACE)
    return {"engine": model.engine.name, "failed": cache.failures()}


if __name__ == "__main__":
    run(main)
