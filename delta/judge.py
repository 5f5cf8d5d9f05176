"""Ratings of traces in five dimensions by one of two raters (paper, section 3.2).

`llm` asks a model for several votes, guided to the rubric's JSON schema. `rules` is deterministic,
for where no model at hand can judge. Both give the same rows, with every vote kept.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple

import polars as pl
from pydantic import Field

from delta import prompts, rubric, rules
from delta.engines import Ask, Request, as_json, user_message
from delta.engines.settings import Engine, SamplingParams, request
from delta.errors import InputError
from delta.params import Section
from delta.records import RATING
from delta.rubric import DIMENSIONS, Vote
from delta.tables import frame_of

Counts = dict[str, Any]
Progress = Callable[[Iterator[Any]], Iterator[Any]]


class LlmParams(SamplingParams):
    model: str  # a name in `models`
    votes: Annotated[int, Field(ge=1)]  # replies that are averaged, one trace
    attempts: Annotated[int, Field(ge=1)]  # tries for one vote, before it counts as refused


class JudgeParams(Section):
    rater: Literal["rules", "llm"]
    llm: LlmParams  # read where rater is "llm"
    max_refused: Annotated[float, Field(ge=0, le=1)]  # share of votes above which the stage fails


class Subject(NamedTuple):
    """What a rater sees: never the gold answer, never the verdict."""

    trace_id: str
    statement: str
    trace: str


def subjects(problems: pl.DataFrame, traces: pl.DataFrame) -> list[Subject]:
    joined = traces.join(problems, on="problem_id", how="left", maintain_order="left")
    if lost := joined.filter(pl.col("statement").is_null()).height:
        raise InputError(f"{lost} traces belong to no problem; rebuild them with `dvc repro`")
    return [Subject(*row) for row in joined.select("trace_id", "statement", "text").iter_rows()]


def by_rules(
    rated: list[Subject], progress: Progress = lambda items: items
) -> tuple[pl.DataFrame, Counts]:
    """One vote for each trace and dimension, by `delta.rules`."""
    rows = []
    for subject in progress(iter(rated)):
        for dimension, rating in rules.rate(subject.statement, subject.trace).items():
            vote = Vote(rating.score, rating.justification, list(rating.triggers))
            rows.append(_row(subject.trace_id, "rules", dimension, [vote], refused=0))
    return frame_of(rows, RATING), {"judge": "rules", "votes": len(rows), "refused": 0}


def first_requests(
    params: LlmParams, engine: Engine, model: str, rated: Iterable[Subject]
) -> Iterator[tuple[tuple[str, int], Request]]:
    """((trace_id, vote), request) for every vote, a trace's votes together to share its prompt."""
    template = prompts.template("judge.txt")
    schema = as_json(rubric.schema())
    for subject in rated:
        content = template.substitute(
            rubric=rubric.as_text(), statement=subject.statement, trace=subject.trace
        )
        prompt = engine.render(user_message(content))
        for vote in range(params.votes):
            plain = request(params, engine, model, prompt, vote)
            yield (subject.trace_id, vote), replace(plain, schema=schema)


def by_llm(
    params: JudgeParams,
    rated: list[Subject],
    asked: list[tuple[tuple[str, int], Request]],
    ask: Ask,
) -> tuple[pl.DataFrame, Counts]:
    """All valid votes of every trace. A reply that is not valid is kept and asked for again under
    a new attempt; after `judge.llm.attempts` the vote is refused. It never becomes a number.

    Raises InputError where more than `judge.max_refused` of the votes are refused.
    """
    given: dict[tuple[str, int], dict[str, Vote]] = {}
    pending = asked
    invalid = 0
    for attempt in range(params.llm.attempts):
        pending = [(place, replace(first, attempt=attempt)) for place, first in pending]
        replies = dict(ask(request_ for _, request_ in pending))
        unanswered = []
        for place, request_ in pending:
            found = rubric.votes(replies[request_].text)
            if found is None:
                invalid += 1
                unanswered.append((place, request_))
            else:
                given[place] = found
        pending = unanswered
        if not pending:
            break
    share = len(pending) / len(asked)
    if share > params.max_refused:
        raise InputError(
            f"judge: {len(pending)} of {len(asked)} votes were refused after "
            f"{params.llm.attempts} attempts, allowed: a share of judge.max_refused = "
            f"{params.max_refused}"
        )
    counts = {
        "judge": params.llm.model,
        "votes": len(given),
        "refused": len(pending),
        "invalid_replies": invalid,
    }
    return frame_of(_rows_by_llm(params.llm, rated, given), RATING), counts


def _rows_by_llm(
    params: LlmParams, rated: list[Subject], given: dict[tuple[str, int], dict[str, Vote]]
) -> list[dict[str, Any]]:
    rows = []
    for subject in rated:
        places = [(subject.trace_id, vote) for vote in range(params.votes)]
        replies = [given[place] for place in places if place in given]
        refused = params.votes - len(replies)
        for dimension in DIMENSIONS:
            cast = [reply[dimension] for reply in replies]
            rows.append(_row(subject.trace_id, params.model, dimension, cast, refused))
    return rows


def _row(
    trace_id: str, judge: str, dimension: str, cast: list[Vote], refused: int
) -> dict[str, Any]:
    return {
        "trace_id": trace_id,
        "judge": judge,
        "dimension": dimension,
        "votes": [vote.score for vote in cast],
        "refused": refused,
        "justification": cast[0].justification if cast else None,
        "deductions": cast[0].deductions if cast else [],
    }
