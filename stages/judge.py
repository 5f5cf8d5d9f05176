"""judge@GENERATOR [second]: votes per trace and dimension → data/ratings/… or data/second/…"""

from functools import partial
from typing import Any

import polars as pl

from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.files import write_counts
from delta.core.schemas import PROBLEM, RATING, TRACE, VERDICT
from delta.inference.model_client import open_model
from delta.judging import judge
from delta.judging.agreement import agreement
from delta.judging.budget import within_budget
from delta.judging.judge import JudgeInput, JudgeParams, SecondJudgeParams

Ratings = tuple[pl.DataFrame, dict[str, Any]]


def main(console: Console, argv: list[str]) -> None:
    second = argv[1:] == ["second"]
    name = params.parse_item(argv[:1] if second else argv, "generators")
    settings = params.load_section("judge", JudgeParams)
    written = tables.scan(paths.traces(name), TRACE)
    num_traces = written.select(pl.len()).collect().item()
    if second:
        first = tables.read(paths.ratings(name), RATING)
        wanted = written.filter(pl.col("trace_id").is_in(first["trace_id"].unique().implode()))
        rater: JudgeParams | SecondJudgeParams = settings.second
        path = paths.second_ratings(name)
    else:
        verdicts = tables.read(paths.verdicts(name), VERDICT)
        draw = [params.get(f"pairing.{key}") for key in ("seed", "draw", "complete")]
        wanted = within_budget(written, verdicts, settings.budget[name], *draw)
        rater = settings
        path = paths.ratings(name)
    with tables.damage_as_input_error(paths.traces(name)):
        traces = wanted.collect(engine="streaming")
    what = "second" if second else "judge"
    rated, lost = judge.judge_inputs(tables.read(paths.PROBLEMS, PROBLEM), traces)
    lost = {"traces": num_traces, "traces_left_out": num_traces - traces.height} | lost
    ratings, counts = rate(console, f"{what}-{name}", rater, settings.max_refused, rated)
    if second:
        counts["agreement"] = agreement(first, ratings)
    tables.write(path, ratings, RATING)
    write_counts(paths.counts(what, name), lost | counts, what, name)


def rate(
    console: Console,
    what: str,
    rater: JudgeParams | SecondJudgeParams,
    max_refused: float,
    rated: list[JudgeInput],
) -> Ratings:
    if rater.rater == "none":
        return tables.frame_of([], RATING), {"judge": None, "votes": 0, "refused": 0}
    if rater.rater == "rules":
        return judge.judge_by_rules(rated, partial(console.progress, total=len(rated), label=what))
    model = open_model(rater.llm.model)
    engine = model.engine
    rated, cut = judge.truncate_to_context(
        rater.llm, engine, model.max_prompt_tokens(rater.llm.max_tokens), rated
    )
    asked = list(judge.build_requests(rater.llm, engine, model.fingerprint, rated))
    with model.replies(what, console, what) as (ask, shelf):
        ratings, counts = judge.judge_by_llm(
            rater.llm, max_refused, rated, asked, ask, engine.chat_format
        )
    return ratings, counts | cut | {"engine": engine.name, "failed": shelf.failures()}


if __name__ == "__main__":
    run(main)
