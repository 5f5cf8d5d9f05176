"""Rate traces in five dimensions, by a model or by rules (paper, section 3.2).

`llm` asks a model for several votes, guided by the rubric's JSON schema, or for one whose scores
are expectations over the model's probabilities. `rules` is deterministic,
for use where no available model can judge. Both return the same table, with every vote. A vote that
was asked for and not given is counted as refused; it is never a number.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal, NamedTuple

import polars as pl
from pydantic import Field

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.schemas import RATING, WITHOUT_TEXT
from delta.core.tables import frame_of
from delta.core.types import Counts, Progress, Row
from delta.inference.chat_formats import ChatFormat
from delta.inference.config import SamplingParams
from delta.inference.digit_tokens import MAX_ALTERNATIVES
from delta.inference.engine import Engine, build_request
from delta.inference.parsed_replies import ParseFailure, generate_parsed
from delta.inference.types import GenerateFn, Reply, Request
from delta.judging import rubric, surprisal
from delta.judging.budget import Budget
from delta.judging.expectation import expected_votes, mass_outside
from delta.judging.rubric import DIMENSIONS, RUBRIC, Dimension, Vote
from delta.judging.rules.rate import NoVote, RulesParams, rate
from delta.judging.surprisal import SurprisalParams, TraceToken
from delta.prompts import prompt_files, trace_text

VoteKey = tuple[str, int]  # trace_id and index of the vote (0-based)
# Reasons for a reply without a vote.
FAILURES = ("invalid", "cut", "no_probabilities", "refused_by_server", "failed")


class LlmParams(SamplingParams):
    """The sampling of a judge that is a model, and its number of votes."""

    model: str  # a name in `models`
    votes: Annotated[int, Field(ge=1)]  # per trace; read if expectation is false
    # True: one reply per trace, whose scores are means of 1 to 5 by the model's probabilities.
    expectation: bool
    max_attempts: Annotated[int, Field(ge=1)]  # requests for one vote; then it counts as refused

    @property
    def votes_per_trace(self) -> int:
        """Return how many replies a trace needs."""
        return 1 if self.expectation else self.votes

    @property
    def scores(self) -> range:
        """Return the whole numbers that a reply may hold as a score."""
        return rubric.DIGITS if self.expectation else rubric.SCORES


class SecondJudgeParams(StrictModel):
    """Another judge of the same traces or some of them, for agreement: no delta uses its votes."""

    rater: Literal["none", "rules", "llm", "surprisal"]
    problems: Annotated[int, Field(ge=1)] | None  # so many, at random; null: all that judge rates
    rules: RulesParams  # read if rater is "rules"
    llm: LlmParams  # read if rater is "llm"
    surprisal: SurprisalParams  # read if rater is "surprisal"


class JudgeParams(StrictModel):
    """The section `judge` of params.yaml."""

    rater: Literal["rules", "llm"]
    rules: RulesParams  # read if rater is "rules"
    llm: LlmParams  # read if rater is "llm"
    second_judge: SecondJudgeParams
    budget: dict[str, Budget]  # by generator
    # Fraction of a model's votes; above it the stage fails. What the rules cannot read counts as
    # refused too, but it says something about the trace, and no run fails for it.
    max_refused: Annotated[float, Field(ge=0, le=1)]


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
    params: RulesParams, inputs: list[JudgeInput], progress: Progress = lambda items, _: items
) -> tuple[pl.DataFrame, Counts]:
    """Return the votes by `delta.judging.rules.rate`, and counts.

    `no_vote`: by dimension, how many traces the rules could not read; all of their votes are
    refused, and the reason is their justification.
    """
    rated = (
        (trace_id, rate(statement, trace, params))
        for trace_id, statement, trace in progress(inputs, len(inputs))
    )
    return _rating_table("rules", params.votes, rated)


def judge_by_surprisal(
    params: SurprisalParams,
    inputs: list[JudgeInput],
    tokens: Mapping[str, Sequence[TraceToken] | None],
) -> tuple[pl.DataFrame, Counts]:
    """Return the votes by `delta.judging.surprisal.rate`, and counts as `judge_by_rules` does.

    `tokens` are those of each trace, by its id.
    """
    rated = (
        (entry.trace_id, surprisal.rate(entry.trace, tokens[entry.trace_id], params))
        for entry in inputs
    )
    return _rating_table("surprisal", 1, rated)


def _rating_table(
    judge: str, num_votes: int, rated: Iterable[tuple[str, dict[str, list[Vote] | NoVote]]]
) -> tuple[pl.DataFrame, Counts]:
    rows = []
    no_vote = dict.fromkeys(DIMENSIONS, 0)
    for trace_id, by_dimension in rated:
        for dimension, votes in by_dimension.items():
            if isinstance(votes, NoVote):
                no_vote[dimension] += 1
                row = _rating_row(trace_id, judge, dimension, [], refused=num_votes)
                rows.append(row | {"justification": f"No vote: {votes.reason}."})
            else:
                rows.append(_rating_row(trace_id, judge, dimension, votes, refused=0))
    refused = sum(row["refused"] for row in rows)
    counts = {"judge": judge, "votes": num_votes * len(rows) - refused, "refused": refused}
    return frame_of(rows, RATING), counts | {"no_vote": no_vote}


def truncate_traces(
    params: LlmParams,
    engine: Engine,
    max_prompt_tokens: int,
    inputs: list[JudgeInput],
    order: Sequence[Dimension] = RUBRIC,
) -> tuple[list[JudgeInput], Counts]:
    """Cut the middle out of traces whose prompt is too long; return the inputs, and counts.

    The prompt has the dimensions in `order`. Raises InputError if a prompt is too long without its
    trace.
    """
    truncated = []
    for judge_input in inputs:
        render = partial(_prompt, engine, order, judge_input)
        trace = trace_text.truncate_to_fit(
            judge_input.trace, render, engine.num_tokens, max_prompt_tokens
        )
        if trace is None:
            raise InputError(
                f"serving.{params.model}.max_model_len: beside max_tokens = {params.max_tokens} of "
                f"the judge it leaves {max_prompt_tokens} tokens, not enough for the rubric and "
                f"the problem of trace {judge_input.trace_id!r}"
            )
        truncated.append(judge_input._replace(trace=trace))
    num_cut = sum(short.trace != full.trace for short, full in zip(truncated, inputs, strict=True))
    return truncated, {"traces_shortened": num_cut}


def _prompt(engine: Engine, order: Sequence[Dimension], judge_input: JudgeInput, trace: str) -> str:
    content = prompt_files.template("judge.txt").substitute(
        rubric=rubric.as_text(order),
        statement=trace_text.escape_markup(judge_input.statement),
        trace=trace_text.escape_markup(trace),
        shape=rubric.example_reply(order),
    )
    return engine.render(engine.chat_format.messages(content))


def build_requests(
    params: LlmParams,
    engine: Engine,
    model: str,
    inputs: Iterable[JudgeInput],
    order: Sequence[Dimension] = RUBRIC,
) -> Iterator[tuple[VoteKey, Request]]:
    """Yield a request for every vote; a trace's votes are adjacent, to share its cached prompt.

    `order` is that of the dimensions in the prompt and the reply.
    """
    # Keys in the rubric's order, which the reply follows.
    schema = json.dumps(rubric.schema(order, params.scores))
    for judge_input in inputs:
        prompt = _prompt(engine, order, judge_input, judge_input.trace)
        for vote in range(params.votes_per_trace):
            request = build_request(params, engine, model, prompt, vote)
            guided = replace(
                request,
                schema=schema,
                channels=engine.chat_format.channels,
                digit_alternatives=MAX_ALTERNATIVES if params.expectation else 0,
            )
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
    votes, failures, attempts = generate_parsed(
        requests, generate, chat_format, partial(_parse_votes, params), params.max_attempts
    )
    refused = len(requests) - len(votes)
    if refused > max_refused * len(requests):
        raise InputError(
            f"judge: {refused} of {len(requests)} votes were refused after "
            f"{params.max_attempts} attempts; expected at most judge.max_refused = {max_refused}"
        )
    counts = {
        "judge": params.model,
        "votes": len(votes),
        "refused": refused,
        "replies": len(votes) + failures.total(),
        **{f"replies_{name}": failures[name] for name in FAILURES},
        "attempts": attempts,
    }
    if params.expectation:
        all_votes = [vote for reply in votes.values() for vote in reply.values()]
        counts["mass_outside"] = mass_outside(all_votes)
    return frame_of(_llm_rows(params, inputs, votes), RATING), counts


def _parse_votes(
    params: LlmParams, reply: Reply, answer: str | None
) -> dict[str, Vote] | ParseFailure:
    """Return a vote for each dimension, or a reason in FAILURES."""
    if reply.finish_reason in WITHOUT_TEXT:
        return ParseFailure("refused_by_server" if reply.finish_reason == "refused" else "failed")
    votes = None if answer is None else rubric.parse_votes(answer, params.scores)
    if answer is not None and votes is not None:
        if params.expectation:
            return expected_votes(reply, answer, votes) or ParseFailure("no_probabilities")
        return votes
    is_cut = answer is None or reply.finish_reason == "length"
    return ParseFailure("cut" if is_cut else "invalid")


def _llm_rows(
    params: LlmParams, inputs: list[JudgeInput], votes: dict[VoteKey, dict[str, Vote]]
) -> list[Row]:
    rows = []
    for judge_input in inputs:
        keys = [(judge_input.trace_id, index) for index in range(params.votes_per_trace)]
        replies = [votes[key] for key in keys if key in votes]
        refused = params.votes_per_trace - len(replies)
        for dimension in DIMENSIONS:
            of_dimension = [reply[dimension] for reply in replies]
            rows.append(
                _rating_row(judge_input.trace_id, params.model, dimension, of_dimension, refused)
            )
    return rows


def _rating_row(trace_id: str, judge: str, dimension: str, votes: list[Vote], refused: int) -> Row:
    return {
        "trace_id": trace_id,
        "judge": judge,
        "dimension": dimension,
        "votes": [vote.score for vote in votes],
        "refused": refused,
        "justification": votes[0].justification if votes else None,
        "deductions": votes[0].deductions if votes else [],
    }
