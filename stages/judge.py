"""Rate the traces of a generator and write the votes to data/ratings/NAME.parquet.

With "second" after its name, the second judge rates the same traces or some of them, and its votes
go to data/second_ratings/NAME.parquet.
"""

from typing import Any

import polars as pl

from delta.core import params, paths, tables
from delta.core.console import Console, run
from delta.core.errors import InputError
from delta.core.files import write_counts
from delta.core.schemas import PROBLEM, RATING, TRACE, VERDICT
from delta.judging import judge
from delta.judging.budget import within_budget
from delta.judging.judge import JudgeParams, SecondJudgeParams
from delta.judging.rate_traces import rate_traces
from delta.judging.second_judge import sample_problems


def main(console: Console, name: str, second: str | None = None) -> None:
    params.check_item(name, "generators")
    if second not in (None, "second"):
        raise InputError(f"{name} {second}: expected nothing or second after the name")
    settings = params.load_section("judge", JudgeParams)
    traces = tables.scan(paths.traces(name), TRACE)
    num_traces = traces.select(pl.len()).collect().item()
    problems = tables.read(paths.PROBLEMS, PROBLEM)
    if second:
        first = tables.read(paths.ratings(name), RATING)
        number, seed = settings.second_judge.problems, params.get("pairing.seed")
        sample = sample_problems(problems["problem_id"], number, seed)
        traces = traces.filter(
            pl.col("trace_id").is_in(first["trace_id"].unique().implode()),
            pl.col("problem_id").is_in(sample.implode()),
        )
        rater: JudgeParams | SecondJudgeParams = settings.second_judge
        path = paths.second_ratings(name)
    else:
        verdicts = tables.read(paths.verdicts(name), VERDICT)
        pairing = (
            params.get(f"pairing.{key}") for key in ("seed", "trace_order", "require_complete")
        )
        traces = within_budget(traces, verdicts, settings.budget[name], *pairing)
        rater = settings
        path = paths.ratings(name)
    with tables.wrap_read_errors(paths.traces(name)):
        rows = traces.collect(engine="streaming")
    stage = second or "judge"
    inputs, input_counts = judge.judge_inputs(problems, rows)
    counts = {"traces": num_traces, "traces_left_out": num_traces - rows.height} | input_counts
    ratings, rating_counts = rate_traces(
        console, f"{stage}-{name}", rater, settings.max_refused, inputs
    )
    counts |= rating_counts
    if second:
        from delta.judging.agreement import judge_agreement  # imports SciPy: 0.7 s

        counts["agreement"] = judge_agreement(first, ratings)
    tables.write(path, ratings, RATING)
    write_counts(paths.counts(stage, name), counts, stage, name)
    # One line for both judges.
    if bool(second) == (settings.second_judge.rater != "none"):
        console.finish(
            describe_votes(first, counts["agreement"]) if second else describe_votes(ratings)
        )


def describe_votes(ratings: pl.DataFrame, agreement: dict[str, Any] | None = None) -> str:
    """Return the mean vote, the refused votes, and how often the second judge gave the same."""
    votes = pl.col("votes")
    number, mean, refused = ratings.select(
        votes.list.len().sum().alias("number"), votes.explode().mean(), pl.col("refused").sum()
    ).row(0)
    if not number:
        return "no votes"
    text = f"{number} votes, mean {mean:.2f}, {refused} refused"
    equal = [row["exact"] for row in (agreement or {}).values() if row["exact"] is not None]
    if equal:
        text += f"; the second judge's vote is equal in {sum(equal) / len(equal):.0%}"
    return text


if __name__ == "__main__":
    run(main)
