"""verify@GENERATOR: right, wrong, or not gradable → data/verdicts/GENERATOR.parquet"""

from functools import partial
from typing import Any

import polars as pl

from delta import equivalence, outputs, params, tables, verify
from delta.console import Console, run
from delta.equivalence import ComparisonParams, Remainder
from delta.graders.pool import GradingParams
from delta.model_client import open_model
from delta.records import PROBLEM, TRACE, VERDICT
from delta.verify import VerifyParams


def main(console: Console, argv: list[str]) -> None:
    name = params.item(argv, "generators")
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
    model = open_model(llm.model)
    room = model.room(llm.max_tokens)
    asked = list(equivalence.first_requests(llm, model.engine, model.fingerprint, room, left))
    with model.replies(f"verify-{name}", console, f"compare {name}") as (ask, shelf):
        said, counts = equivalence.compare(llm, asked, ask, model.engine.protocol)
    verdicts, changed = equivalence.decide(verdicts, said)
    return verdicts, counts | changed | {"failed": shelf.failures()}


if __name__ == "__main__":
    run(main)
