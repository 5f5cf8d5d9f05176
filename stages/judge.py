"""judge@GENERATOR: votes per trace and dimension → data/ratings/GENERATOR.parquet"""

from functools import partial
from typing import Any

import polars as pl

from delta import outputs, params, tables, weights
from delta.console import Console, run
from delta.engines.settings import EngineSettings, open_engine
from delta.judge import JudgeParams, Subject, by_llm, by_rules, first_requests, subjects
from delta.records import PROBLEM, RATING, TRACE
from delta.replies import open_shelf


def main(console: Console, argv: list[str]) -> None:
    (name,) = argv
    judge = params.section("judge", JudgeParams)
    problems = tables.read(outputs.PROBLEMS, PROBLEM)
    traces = tables.read(outputs.traces(name), TRACE)
    rated = subjects(problems, traces)
    if judge.rater == "rules":
        progress = partial(console.progress, total=len(rated), what=f"judge {name}")
        ratings, counts = by_rules(rated, progress)
    else:
        ratings, counts = ask_model(console, name, judge, rated)
    tables.write(outputs.ratings(name), ratings, RATING)
    outputs.write_counts(outputs.METRICS / "judge" / f"{name}.json", counts, "judge", name)


def ask_model(
    console: Console, name: str, judge: JudgeParams, rated: list[Subject]
) -> tuple[pl.DataFrame, dict[str, Any]]:
    settings = params.section("engine", EngineSettings)
    folder = outputs.model(judge.llm.model)
    model = weights.fingerprint(folder)
    engine = open_engine(settings, folder)
    asked = list(first_requests(judge.llm, engine, model, rated))
    with open_shelf(f"judge-{name}", model, console.say) as shelf:
        progress = partial(console.progress, what=f"judge {name}")
        return by_llm(judge, rated, asked, shelf.remember(engine.ask, progress))


if __name__ == "__main__":
    run(main)
