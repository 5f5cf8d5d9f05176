"""Rate traces in five dimensions, by a model or by rules (paper, section 3.2).

`llm` asks a model for several votes, guided by the rubric's JSON schema. `rules` is deterministic,
for use where no available model can judge. Both return the same table, with every vote.
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
from delta.core.types import Counts, Row
from delta.inference import trace_text
from delta.inference.chat_formats import ChatFormat
from delta.inference.engine import Engine, SamplingParams, build_request, read_reply
from delta.inference.types import GenerateFn, Reply, Request
from delta.judging import rubric
from delta.judging.budget import Budget
from delta.judging.rubric import DIMENSIONS, Vote
from delta.judging.rules import rate

Progress = Callable[[Iterator[Any]], Iterator[Any]]
VoteKey = tuple[str, int]  # trace_id and index of the vote (0-based)
FAILURES = ("invalid", "cut", "refused_by_server", "failed")  # reasons for a reply without a vote


class LlmParams(SamplingParams):
    model: str  # a name in `models`
    votes: Annotated[int, Field(ge=1)]  # per trace
    max_attempts: Annotated[int, Field(ge=1)]  # requests for one vote; then it counts as refused


class SecondJudgeParams(StrictModel):
    """Another judge of the same traces, only for agreement: no delta uses its votes."""

    rater: Literal["none", "rules", "llm"]
    llm: LlmParams  # read if rater is "llm"


class JudgeParams(StrictModel):
    rater: Literal["rules", "llm"]
    llm: LlmParams  # read if rater is "llm"
    second_judge: SecondJudgeParams
    budget: dict[str, Budget]  # by generator
    max_refused: Annotated[float, Field(ge=0, le=1)]  # fraction of votes; above it the stage fails


class JudgeInput(NamedTuple):
    """The judge's input: never the gold answer, the verdict or the generator."""

    trace_id: str
    statement: str
    trace: str


def judge_inputs(problems: pl.DataFrame, traces: pl.DataFrame) -> tuple[list[JudgeInput], Counts]:
    """Return the judge's inputs, and counts. Traces without text are left out."""
    joined = traces.join(problems, on="problem_id", how="left", maintain_order="left")
    if num_lost := joined.filter(pl.col("statement").is_null()).height:
        raise InputError(f"{num_lost} traces belong to no problem; rebuild them with `dvc repro`")
    with_text = joined.filter(~pl.col("finish_reason").is_in(WITHOUT_TEXT))
    inputs = [
        JudgeInput(row["trace_id"], trace_text.problem_text(row), trace_text.trace_text(row))
        for row in with_text.iter_rows(named=True)
    ]
    return inputs, {"traces_rated": len(inputs), "traces_without_text": joined.height - len(inputs)}


def judge_by_rules(
    inputs: list[JudgeInput], progress: Progress = lambda items: items
) -> tuple[pl.DataFrame, Counts]:
    """Return one vote per trace and dimension, by `delta.judging.rules.rate`."""
    rows = []
    for trace_id, statement, trace in progress(iter(inputs)):
        for dimension, rating in rate.rate(statement, trace).items():
            vote = Vote(rating.score, rating.justification, list(rating.triggers))
            rows.append(_row(trace_id, "rules", dimension, [vote], refused=0))
    return frame_of(rows, RATING), {"judge": "rules", "votes": len(rows), "refused": 0}


def truncate_to_context(
    params: LlmParams, engine: Engine, max_prompt_tokens: int, inputs: list[JudgeInput]
) -> tuple[list[JudgeInput], Counts]:
    """Cut the middle out of traces whose prompt is too long; return the inputs, and counts.

    Raises InputError if a prompt is too long without its trace.
    """
    fitting = []
    for judge_input in inputs:
        trace = _truncate(engine, max_prompt_tokens, judge_input)
        if trace is None:
            raise InputError(
                f"serving.{params.model}.max_model_len: beside max_tokens = {params.max_tokens} of "
                f"the judge it leaves {max_prompt_tokens} tokens, not enough for the rubric and "
                f"the problem of trace {judge_input.trace_id!r}"
            )
        fitting.append(judge_input._replace(trace=trace))
    num_cut = sum(fit.trace != full.trace for fit, full in zip(fitting, inputs, strict=True))
    return fitting, {"traces_shortened": num_cut}


def _truncate(engine: Engine, max_prompt_tokens: int, judge_input: JudgeInput) -> str | None:
    def fits(trace: str) -> bool:
        prompt = _prompt(engine, judge_input._replace(trace=trace))
        return trace_text.fits_budget(engine, prompt, trace, max_prompt_tokens)

    return trace_text.truncate_middle(judge_input.trace, fits)


def _prompt(engine: Engine, judge_input: JudgeInput) -> str:
    content = prompts.template("judge.txt").substitute(
        rubric=rubric.as_text(),
        statement=trace_text.escape_control_tokens(judge_input.statement),
        trace=trace_text.escape_control_tokens(judge_input.trace),
        shape=rubric.example_reply(),
    )
    return engine.render(engine.chat_format.messages(content))


def build_requests(
    params: LlmParams, engine: Engine, model: str, inputs: Iterable[JudgeInput]
) -> Iterator[tuple[VoteKey, Request]]:
    """Yield a request for every vote; a trace's votes are adjacent, to share its cached prompt."""
    schema = json.dumps(rubric.schema())  # keys in the rubric's order, which the reply follows
    for judge_input in inputs:
        prompt = _prompt(engine, judge_input)
        for vote in range(params.votes):
            request = build_request(params, engine, model, prompt, vote)
            guided = replace(request, schema=schema, channels=engine.chat_format.channels)
            yield (judge_input.trace_id, vote), guided


def judge_by_llm(
    params: LlmParams,
    max_refused: float,
    inputs: list[JudgeInput],
    requests: list[tuple[VoteKey, Request]],
    generate: GenerateFn,
    chat_format: ChatFormat,
) -> tuple[pl.DataFrame, Counts]:
    """Return all valid votes of every trace, and counts.

    A reply without a vote is counted and requested again under the next attempt number. After
    `max_attempts` the vote counts as refused; it never becomes a number. Raises InputError if more
    than the fraction `max_refused` of the votes are refused.
    """
    votes: dict[VoteKey, dict[str, Vote]] = {}
    failures: Counter[str] = Counter()
    pending, attempt = requests, 0
    while pending and attempt < params.max_attempts:
        pending = [(key, replace(first, attempt=attempt)) for key, first in pending]
        replies = {
            request: _read_votes(reply, request, chat_format)
            for request, reply in generate(request for _, request in pending)
        }
        without_vote = []
        for key, request in pending:
            reply_votes = replies[request]
            if isinstance(reply_votes, str):
                failures[reply_votes] += 1
                without_vote.append((key, request))
            else:
                votes[key] = reply_votes
        pending, attempt = without_vote, attempt + 1
    if len(pending) > max_refused * len(requests):
        raise InputError(
            f"judge: {len(pending)} of {len(requests)} votes were refused after "
            f"{params.max_attempts} attempts; expected at most judge.max_refused = {max_refused}"
        )
    counts = {
        "judge": params.model,
        "votes": len(votes),
        "refused": len(pending),
        "replies": len(votes) + failures.total(),
        **{f"replies_{name}": failures[name] for name in FAILURES},
        "attempts": attempt,
    }
    return frame_of(_llm_rows(params, inputs, votes), RATING), counts


def _read_votes(reply: Reply, request: Request, chat_format: ChatFormat) -> dict[str, Vote] | str:
    """Return a vote for each dimension, or a name in FAILURES."""
    if reply.finish_reason in WITHOUT_TEXT:
        return "refused_by_server" if reply.finish_reason == "refused" else "failed"
    text, (_, _, start) = read_reply(reply, chat_format, request.prompt)
    votes = None if start is None else rubric.parse_votes(text[start:])
    if votes is not None:
        return votes
    return "cut" if start is None or reply.finish_reason == "length" else "invalid"


def _llm_rows(
    params: LlmParams, inputs: list[JudgeInput], votes: dict[VoteKey, dict[str, Vote]]
) -> list[Row]:
    rows = []
    for judge_input in inputs:
        keys = [(judge_input.trace_id, index) for index in range(params.votes)]
        replies = [votes[key] for key in keys if key in votes]
        refused = params.votes - len(replies)
        for dimension in DIMENSIONS:
            of_dimension = [reply[dimension] for reply in replies]
            rows.append(_row(judge_input.trace_id, params.model, dimension, of_dimension, refused))
    return rows


def _row(trace_id: str, judge: str, dimension: str, votes: list[Vote], refused: int) -> Row:
    return {
        "trace_id": trace_id,
        "judge": judge,
        "dimension": dimension,
        "votes": [vote.score for vote in votes],
        "refused": refused,
        "justification": votes[0].justification if votes else None,
        "deductions": votes[0].deductions if votes else [],
    }
