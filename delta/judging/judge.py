"""Ratings of traces in five dimensions by one of two raters (paper, section 3.2).

`llm` asks a model for several votes, guided to the rubric's JSON schema. `rules` is deterministic,
for where no model at hand can judge. Both give the same rows, with every vote kept.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple

import polars as pl
from pydantic import Field

from delta import prompts
from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.schemas import RATING, WITHOUT_TEXT
from delta.core.tables import frame_of
from delta.core.types import Counts
from delta.inference import trace_text
from delta.inference.chat_formats import ChatFormat
from delta.inference.engine import Engine, SamplingParams, build_request, read_reply
from delta.inference.types import GenerateFn, Reply, Request
from delta.judging import rubric
from delta.judging.budget import Budget
from delta.judging.rubric import DIMENSIONS, Vote
from delta.judging.rules import rate

Progress = Callable[[Iterator[Any]], Iterator[Any]]
VoteKey = tuple[str, int]  # trace_id, and the how-manieth vote
FAILURES = ("invalid", "cut", "refused_by_server", "failed")  # why a reply holds no vote


class LlmParams(SamplingParams):
    model: str  # a name in `models`
    votes: Annotated[int, Field(ge=1)]  # replies that are averaged, one trace
    attempts: Annotated[int, Field(ge=1)]  # tries for one vote, before it counts as refused


class SecondJudgeParams(StrictModel):
    """Another judge of the same traces, for agreement only: no delta rests on it."""

    rater: Literal["none", "rules", "llm"]
    llm: LlmParams  # read where rater is "llm"


class JudgeParams(StrictModel):
    rater: Literal["rules", "llm"]
    llm: LlmParams  # read where rater is "llm"
    second: SecondJudgeParams
    budget: dict[str, Budget]  # for each generator, how many traces of a problem are rated
    max_refused: Annotated[float, Field(ge=0, le=1)]  # share of votes above which the stage fails


class JudgeInput(NamedTuple):
    """What a rater sees: never the gold answer, never the verdict, never who wrote it."""

    trace_id: str
    statement: str
    trace: str


def judge_inputs(problems: pl.DataFrame, traces: pl.DataFrame) -> tuple[list[JudgeInput], Counts]:
    """What there is to rate, and counts. Where a server gave no text there is no trace."""
    joined = traces.join(problems, on="problem_id", how="left", maintain_order="left")
    if lost := joined.filter(pl.col("statement").is_null()).height:
        raise InputError(f"{lost} traces belong to no problem; rebuild them with `dvc repro`")
    given = joined.filter(~pl.col("finish_reason").is_in(WITHOUT_TEXT))
    rated = [
        JudgeInput(row["trace_id"], trace_text.problem_text(row), trace_text.trace_text(row))
        for row in given.iter_rows(named=True)
    ]
    return rated, {"traces_rated": len(rated), "traces_without_text": joined.height - len(rated)}


def judge_by_rules(
    rated: list[JudgeInput], progress: Progress = lambda items: items
) -> tuple[pl.DataFrame, Counts]:
    """One vote for each trace and dimension, by `delta.judging.rules.rate`."""
    rows = []
    for subject in progress(iter(rated)):
        for dimension, rating in rate.rate(subject.statement, subject.trace).items():
            vote = Vote(rating.score, rating.justification, list(rating.triggers))
            rows.append(_row(subject.trace_id, "rules", dimension, [vote], refused=0))
    return frame_of(rows, RATING), {"judge": "rules", "votes": len(rows), "refused": 0}


def truncate_to_context(
    params: LlmParams, engine: Engine, room: int, rated: list[JudgeInput]
) -> tuple[list[JudgeInput], Counts]:
    """Every trace cut to what fits `room` tokens (a model's length less the reply), and counts."""
    fitting = []
    for subject in rated:
        trace = _fitting_trace(engine, room, subject)
        if trace is None:
            raise InputError(
                f"serving.{params.model}.max_model_len: beside max_tokens = {params.max_tokens} of "
                f"the judge it leaves {room} tokens, not enough for the rubric and the problem of "
                f"trace {subject.trace_id!r}"
            )
        fitting.append(subject._replace(trace=trace))
    cut = sum(new.trace != old.trace for new, old in zip(fitting, rated, strict=True))
    return fitting, {"traces_shortened": cut}


def _fitting_trace(engine: Engine, room: int, subject: JudgeInput) -> str | None:
    def fits(trace: str) -> bool:
        prompt = _prompt(engine, subject._replace(trace=trace))
        return trace_text.fits_budget(engine, prompt, trace, room)

    return trace_text.truncate_middle(subject.trace, fits)


def _prompt(engine: Engine, subject: JudgeInput) -> str:
    content = prompts.template("judge.txt").substitute(
        rubric=rubric.as_text(),
        statement=trace_text.escape_control_tokens(subject.statement),
        trace=trace_text.escape_control_tokens(subject.trace),
        shape=rubric.shape(),
    )
    return engine.render(engine.chat_format.messages(content))


def build_requests(
    params: LlmParams, engine: Engine, model: str, rated: Iterable[JudgeInput]
) -> Iterator[tuple[VoteKey, Request]]:
    """((trace_id, vote), request) for every vote, a trace's votes together to share its prompt."""
    schema = json.dumps(rubric.schema())  # in the rubric's order: the reply is written in it
    for subject in rated:
        prompt = _prompt(engine, subject)
        for vote in range(params.votes):
            plain = build_request(params, engine, model, prompt, vote)
            guided = replace(plain, schema=schema, channels=engine.chat_format.channels)
            yield (subject.trace_id, vote), guided


def judge_by_llm(
    params: LlmParams,
    max_refused: float,
    rated: list[JudgeInput],
    asked: list[tuple[VoteKey, Request]],
    ask: GenerateFn,
    protocol: ChatFormat,
) -> tuple[pl.DataFrame, Counts]:
    """All valid votes of every trace. A reply without one is kept, counted, and asked for again
    under a new attempt; after `attempts` the vote is refused. It never becomes a number.

    Raises InputError where more than `max_refused` of the votes are refused.
    """
    given: dict[VoteKey, dict[str, Vote]] = {}
    failures: Counter[str] = Counter()
    pending, rounds = asked, 0
    while pending and rounds < params.attempts:
        pending = [(place, replace(first, attempt=rounds)) for place, first in pending]
        read = {
            request_: _votes(reply, request_, protocol)
            for request_, reply in ask(request_ for _, request_ in pending)
        }
        unanswered = []
        for place, request_ in pending:
            found = read[request_]
            if isinstance(found, str):
                failures[found] += 1
                unanswered.append((place, request_))
            else:
                given[place] = found
        pending, rounds = unanswered, rounds + 1
    _check_refused(params, max_refused, len(pending), len(asked))
    counts = {
        "judge": params.model,
        "votes": len(given),
        "refused": len(pending),
        "replies": len(given) + failures.total(),
        **{f"replies_{name}": failures[name] for name in FAILURES},
        "attempts": rounds,
    }
    return frame_of(_rows_by_llm(params, rated, given), RATING), counts


def _votes(reply: Reply, request_: Request, protocol: ChatFormat) -> dict[str, Vote] | str:
    """A vote for each dimension, or which of FAILURES there is instead."""
    if reply.finish_reason in WITHOUT_TEXT:
        return "refused_by_server" if reply.finish_reason == "refused" else "failed"
    text, (_, _, start) = read_reply(reply, protocol, request_.prompt)
    found = None if start is None else rubric.votes(text[start:])
    if found is not None:
        return found
    return "cut" if start is None or reply.finish_reason == "length" else "invalid"


def _check_refused(params: LlmParams, max_refused: float, refused: int, asked: int) -> None:
    if refused > max_refused * asked:
        raise InputError(
            f"judge: {refused} of {asked} votes were refused after {params.attempts} attempts, "
            f"allowed: a share of judge.max_refused = {max_refused}"
        )


def _rows_by_llm(
    params: LlmParams, rated: list[JudgeInput], given: dict[VoteKey, dict[str, Vote]]
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
