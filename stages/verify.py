"""verify@GENERATOR: right, wrong, or not gradable → data/verdicts/GENERATOR.parquet"""

from functools import partial
from typing import Any

import polars as pl

from delta import equivalence, outputs, params, tables, verify, weights
from delta.console import Console, run
from delta.engines.settings import EngineSettings, ServingParams, open_engine
from delta.equivalence import ComparisonParams, Remainder
from delta.graders.pool import GradingParams
from delta.records import PROBLEM, TRACE, VERDICT
from delta.replies import open_shelf
from delta.verify import VerifyParams


def main(console: Console, argv: list[str]) -> None:
    (name,) = argv
    settings = params.section("verify", VerifyParams)
    grading = params.section("grading", GradingParams)
    problems = tables.read(outputs.PROBLEMS, PROBLEM)
    path = outputs.traces(name)
    traces = tables.scan(path, TRACE)
    second: dict[str, Any] = {}
    with tables.reading(path):
        rows = verify.with_problems(problems, traces.drop("text").collect(engine="streaming"))
        progress = partial(console.progress, total=rows.height, what=f"verify {name}")
        graded = verify.grade(grading, verify.batches(problems, traces), progress)
        verdicts, recorded = verify.decide(settings, rows, graded)
        if settings.second == "llm":
            left = equivalence.remainder(verify.batches(problems, traces), verdicts)
    if settings.second == "llm":
        verdicts, second = ask_model(console, name, settings.llm, left, verdicts)
    counts = verify.counted(grading, verdicts) | recorded | {"second": second}
    tables.write(outputs.verdicts(name), verdicts, VERDICT)
    outputs.write_counts(outputs.METRICS / "verify" / f"{name}.json", counts, "verify", name)


def ask_model(
    console: Console,
    name: str,
    llm: ComparisonParams,
    left: list[Remainder],
    verdicts: pl.DataFrame,
) -> tuple[pl.DataFrame, dict[str, Any]]:
    serving = params.section(f"serving.{llm.model}", ServingParams)
    folder = outputs.model(llm.model)
    model = weights.fingerprint(folder)
    settings = params.section("engine", EngineSettings)
    engine = open_engine(settings, serving, folder)
    room = serving.max_model_len - llm.max_tokens
    asked = list(equivalence.first_requests(llm, engine, model, room, left))
    with open_shelf(f"verify-{name}", model, console.say) as shelf:
        progress = partial(console.progress, what=f"compare {name}")
        max_failed = settings.endpoint.max_failed
        ask = shelf.remember(engine.ask, progress, max_failed=max_failed)
        said, counts = equivalence.compare(llm, asked, ask, engine.protocol)
    verdicts, changed = equivalence.decide(verdicts, said)
    return verdicts, counts | changed | {"failed": shelf.failures()}


if __name__ == "__main__":
    run(main)
