"""generate@GENERATOR: several traces of every problem → data/traces/GENERATOR.parquet"""

from functools import partial
from typing import Any

import polars as pl

from delta import outputs, params, protocols, recording, tables, weights
from delta.console import Console, run
from delta.engines.settings import EngineSettings, ServingParams, open_engine
from delta.generate import (
    GeneratorParams,
    RecordedParams,
    SampledParams,
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
    if isinstance(generator, RecordedParams):
        folder = outputs.model(generator.model)
        recorded, lost = recording.recorded_rows(problems, folder, generator.recorded)
        traces, counts = from_recording(name, recorded, protocols.load(serving.protocol))
        counts |= lost
    else:
        traces, counts = ask_model(console, name, generator, serving, problems)
    tables.write(outputs.traces(name), traces, TRACE)
    outputs.write_counts(outputs.METRICS / "generate" / f"{name}.json", counts, "generate", name)


def ask_model(
    console: Console,
    name: str,
    generator: SampledParams,
    serving: ServingParams,
    problems: pl.DataFrame,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    folder = outputs.model(generator.model)
    model = weights.fingerprint(folder)
    settings = params.section("engine", EngineSettings)
    engine = open_engine(settings, serving, folder)
    asked = list(requests_of(generator, engine, model, problems))
    with open_shelf(f"generate-{name}", model, console.say) as shelf:
        progress = partial(console.progress, what=f"generate {name}")
        max_failed = settings.endpoint.max_failed
        ask = shelf.remember(engine.ask, progress, max_failed=max_failed)
        traces, counts = generate(name, asked, ask, engine.protocol)
    return traces, counts | {"engine": engine.name, "failed": shelf.failures()}


if __name__ == "__main__":
    run(main)
