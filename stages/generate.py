"""generate@GENERATOR: several traces of every problem → data/traces/GENERATOR.parquet"""

from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from delta import outputs, params, protocols, recording, tables, weights
from delta.console import Console, run
from delta.engines.settings import EngineSettings, ServingParams, open_engine
from delta.generate import (
    GeneratorParams,
    RecordedParams,
    SampledParams,
    counts,
    from_recording,
    generate,
    requests_of,
)
from delta.records import PROBLEM, TRACE
from delta.replies import open_shelf


def main(console: Console, argv: list[str]) -> None:
    (name,) = argv
    generator: SampledParams | RecordedParams = params.section(
        f"generators.{name}",
        GeneratorParams,  # type: ignore[arg-type]  # a union is no type[S] to mypy
    )
    serving = params.section(f"serving.{generator.model}", ServingParams)
    problems = tables.read(outputs.PROBLEMS, PROBLEM)
    path = outputs.traces(name)
    if isinstance(generator, RecordedParams):
        folder = outputs.model(generator.model)
        recorded, more = recording.recorded_rows(problems, folder, generator.recorded)
        protocol = protocols.load(serving.protocol)
        traces = (from_recording(name, rows, protocol) for rows in recorded)
        tables.write_batches(path, traces, TRACE)
    else:
        more = ask_model(console, name, generator, serving, problems, path)
    found = counts(tables.read(path, TRACE, [one for one in TRACE.columns if one != "text"]))
    counted = outputs.METRICS / "generate" / f"{name}.json"
    outputs.write_counts(counted, found | more, "generate", name)


def ask_model(
    console: Console,
    name: str,
    generator: SampledParams,
    serving: ServingParams,
    problems: pl.DataFrame,
    path: Path,
) -> dict[str, Any]:
    folder = outputs.model(generator.model)
    model = weights.fingerprint(folder)
    settings = params.section("engine", EngineSettings)
    engine = open_engine(settings, serving, folder)
    asked = list(requests_of(generator, engine, model, problems))
    with open_shelf(f"generate-{name}", model, console.say) as shelf:
        progress = partial(console.progress, what=f"generate {name}")
        max_failed = settings.endpoint.max_failed
        ask = shelf.remember(engine.ask, progress, max_failed=max_failed)
        tables.write_batches(path, generate(name, asked, ask, engine.protocol), TRACE)
    return {"engine": engine.name, "failed": shelf.failures()}


if __name__ == "__main__":
    run(main)
