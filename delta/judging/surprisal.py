"""Rate a trace by how much it surprises a model: a second rater that reads no rubric.

A line of a worked solution is a step. What follows its last = is the step's result, the rest is
what the step does; a line without = does something only. A part's surprisal is the mean of
-log p(token | problem and all before) over its tokens, in nats. A trace is as good as its worst
line, so a long trace does not hide a fault. The mapping to votes has no seed, and does not depend
on other traces: 5 up to `best`, 1 from `worst` on, and linear between.

computational_precision: the results. step_coherence: what the steps do. signal_to_noise: the
fraction of lines that repeat an earlier line. Nothing here tells factuality or strategy, so these
get no vote.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple, Self

from pydantic import Field, model_validator

from delta.core.params import StrictModel
from delta.judging.ratings import DECIMALS
from delta.judging.rubric import DIMENSIONS, HIGHEST, LOWEST, Vote
from delta.judging.rules.rate import NoVote

LINE = re.compile(r"\S(?:.*\S)?")  # without the white space around it
UNSEEN = NoVote("a model's surprisal does not tell")


class Scale(StrictModel):
    """Which values are worth a 5 and a 1; between them votes are linear."""

    best: Annotated[float, Field(ge=0)]  # up to here 5
    worst: Annotated[float, Field(ge=0)]  # from here on 1

    @model_validator(mode="after")
    def _require_order(self) -> Self:
        if self.best >= self.worst:
            raise ValueError(f"expected best below worst = {self.worst:g}")
        return self

    def score(self, value: float) -> float:
        """Return the vote for a value."""
        fraction = min(1.0, max(0.0, (value - self.best) / (self.worst - self.best)))
        return round(HIGHEST - (HIGHEST - LOWEST) * fraction, DECIMALS)


class SurprisalParams(StrictModel):
    """The model of this rater and its scales."""

    model: str  # a name in `models` or `sft_models`, with weights here
    result: Scale  # nats per token
    step: Scale  # nats per token
    repetition: Scale  # fraction of the lines


class TraceToken(NamedTuple):
    """A token of a trace: where it begins (characters), and its log-probability (nats)."""

    start: int
    logp: float


class LinePart(NamedTuple):
    """The surprisal of a part of a line, in nats per token."""

    surprisal: float
    line: str


def rate(
    trace: str, tokens: Sequence[TraceToken] | None, params: SurprisalParams
) -> dict[str, list[Vote] | NoVote]:
    """Return one vote on a trace in each dimension, or why there is none.

    `tokens` are those of the trace; None: it is longer than the model can read.
    """
    votes: dict[str, list[Vote] | NoVote] = dict.fromkeys(DIMENSIONS, UNSEEN)
    lines = list(LINE.finditer(trace))
    votes["signal_to_noise"] = _repetition(lines, params.repetition)
    if tokens is None:
        too_long = NoVote("longer than the model's context")
        return votes | {"step_coherence": too_long, "computational_precision": too_long}
    steps, results = [], []
    for line in lines:
        equals = trace.rfind("=", line.start(), line.end()) + 1  # 0: none
        steps += _part(line, tokens, line.start(), equals or line.end())
        if equals:
            results += _part(line, tokens, equals, line.end())
    votes["step_coherence"] = _worst(steps, params.step, "no line")
    votes["computational_precision"] = _worst(results, params.result, "no line with a result")
    return votes


def _part(
    line: re.Match[str], tokens: Iterable[TraceToken], start: int, end: int
) -> list[LinePart]:
    logps = [token.logp for token in tokens if start <= token.start < end]
    return [LinePart(-sum(logps) / len(logps), line[0])] if logps else []


def _worst(parts: list[LinePart], scale: Scale, nothing: str) -> list[Vote] | NoVote:
    if not parts:
        return NoVote(nothing)
    worst = max(parts)
    return [Vote(scale.score(worst.surprisal), f"{worst.surprisal:.2f} nats: {worst.line}", [])]


def _repetition(lines: list[re.Match[str]], scale: Scale) -> list[Vote] | NoVote:
    if not lines:
        return NoVote("no line")
    repeated = len(lines) - len({line[0] for line in lines})
    return [Vote(scale.score(repeated / len(lines)), f"{repeated} lines repeated", [])]
