"""judge@GENERATOR [second]: votes per trace and dimension → data/ratings/… or data/second/…"""

from functools import partial
from typing import Any

import polars as pl

from delta import judge, outputs, params, tables
from delta.agreement import agreement
from delta.console import Console, run
from delta.drawing import budgeted
from delta.judge import JudgeParams, SecondParams, Subject
from delta.model_client import open_model
from delta.records import PROBLEM, RATING, TRACE, VERDICT

Ratings = tuple[pl.DataFrame, dict[str, Any]]


def main(console: Console, argv: list[str]) -> None:
    second = argv[1:] == ["second"]
    name = params.item(argv[:1] if second else argv, "generators")
    settings = params.section("judge", JudgeParams)
    written = tables.scan(outputs.traces(name), TRACE)
    num_traces = written.select(pl.len()).collect().item()
    if second:
        first = tables.read(outputs.ratings(name), RATING)
        wanted = written.filter(pl.col("trace_id").is_in(first["trace_id"].unique().implode()))
        rater: JudgeParams | SecondParams = settings.second
        path = outputs.second_ratings(name)
    else:
        verdicts = tables.read(outputs.verdicts(name), VERDICT)
        draw = [params.value(f"pairing.{key}") for key in ("seed", "draw", "complete")]
        wanted = budgeted(written, verdicts, settings.budget[name], *draw)
        rater = settings
        path = outputs.ratings(name)
    with tables.reading(outputs.traces(name)):
        traces = wanted.collect(engine="streaming")
    what = "second" if second else "judge"
    rated, lost = judge.subjects(tables.read(outputs.PROBLEMS, PROBLEM), traces)
    lost = {"traces": num_traces, "traces_left_out": num_traces - traces.height} | lost
    ratings, counts = rate(console, f"{what}-{name}", rater, settings.max_refused, rated)
    if second:
        counts["agreement"] = agreement(first, ratings)
    tables.write(path, ratings, RATING)
    outputs.write_counts(outputs.METRICS / what / f"{name}.json", lost | counts, what, name)


def rate(
    console: Console,
    what: str,
    rater: JudgeParams | SecondParams,
    max_refused: float,
    rated: list[Subject],
) -> Ratings:
    if rater.rater == "none":
        return tables.frame_of([], RATING), {"judge": None, "votes": 0, "refused": 0}
    if rater.rater == "rules":
        return judge.by_rules(rated, partial(console.progress, total=len(rated), what=what))
    model = open_model(rater.llm.model)
    engine = model.engine
    rated, cut = judge.shortened(rater.llm, engine, model.room(rater.llm.max_tokens), rated)
    asked = list(judge.first_requests(rater.llm, engine, model.fingerprint, rated))
    with model.replies(what, console, what) as (ask, shelf):
        ratings, counts = judge.by_llm(rater.llm, max_refused, rated, asked, ask, engine.protocol)
    return ratings, counts | cut | {"engine": engine.name, "failed": shelf.failures()}


if __name__ == "__main__":
    run(main)
