"""A model compares the final answers that Math-Verify did not accept (paper, section 3.1).

Math-Verify often fails on the form alone: the letter of an option against its value, several
values, words. Asked only about complete traces with a clear box, as in the OpenR1 protocol.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, NamedTuple

import polars as pl
from pydantic import Field

from delta import prompts
from delta.core.errors import InputError
from delta.core.types import Counts
from delta.grading.formulas.box_content import last_box
from delta.inference import trace_text
from delta.inference.chat_formats import ChatFormat
from delta.inference.engine import Engine, SamplingParams, build_request, read_reply
from delta.inference.types import GenerateFn, Reply, Request

# What the model may say, and what it makes of a trace: (outcome, reason).
VERDICT_WORDS = {
    "EQUIVALENT": ("correct", None),
    "DIFFERENT": ("incorrect", "different"),
    "AMBIGUOUS": ("ungradable", "ambiguous"),
}
_LAST_LINE = re.compile(rf"\W*Verdict\W+({'|'.join(VERDICT_WORDS)})\W*", re.IGNORECASE)


class ComparisonParams(SamplingParams):
    model: str  # a name in `models`
    attempts: Annotated[int, Field(ge=1)]  # tries, before the grader's verdict stands


class UnresolvedAnswer(NamedTuple):
    """One trace whose final answer the grader did not accept."""

    trace_id: str
    statement: str
    gold_answer: str
    answer: str  # the part after the reasoning


def unresolved_answers(
    rows: Iterable[pl.DataFrame], verdicts: pl.DataFrame
) -> list[UnresolvedAnswer]:
    """Those of `rows` (traces with their problem, in batches) to ask about: complete, with a clear
    box, and not accepted by the grader, whose word `verdicts` (delta.core.schemas.VERDICT) has."""
    doubted = (pl.col("decided_by") == "grader") & (pl.col("outcome") != "correct")
    ids = set(verdicts.filter(doubted)["trace_id"])
    asked = (pl.col("gold_answer").str.strip_chars() != "") & (pl.col("finish_reason") == "stop")
    left = []
    for batch in rows:
        is_doubted = pl.Series(
            [trace_id in ids for trace_id in batch["trace_id"]], dtype=pl.Boolean
        )
        for row in batch.filter(is_doubted & asked).iter_rows(named=True):
            answer = trace_text.answer_text(row)
            # The box is looked for again: a worker killed over an answer brings none back.
            if answer is not None and (last_box(answer) or "").strip():
                trace = row["trace_id"], trace_text.problem_text(row), row["gold_answer"]
                left.append(UnresolvedAnswer(*trace, answer))
    return left


def first_requests(
    params: ComparisonParams,
    engine: Engine,
    model: str,
    room: int,
    left: Iterable[UnresolvedAnswer],
) -> Iterator[tuple[str, Request]]:
    """(trace_id, request) for each. A long answer loses its middle, never the box at its end."""
    for one in left:
        prompt = _fitting_prompt(engine, room, one)
        if prompt is None:
            raise InputError(
                f"serving.{params.model}.max_model_len: beside verify.llm.max_tokens = "
                f"{params.max_tokens} it leaves {room} tokens, not enough for the problem of "
                f"trace {one.trace_id!r}"
            )
        yield one.trace_id, build_request(params, engine, model, prompt, sample=0)


def _fitting_prompt(engine: Engine, room: int, one: UnresolvedAnswer) -> str | None:
    def prompt(answer: str) -> str:
        content = prompts.template("equivalence.txt").substitute(
            statement=trace_text.escape_control_tokens(one.statement),
            gold_answer=trace_text.escape_control_tokens(one.gold_answer),
            answer=trace_text.escape_control_tokens(answer),
        )
        return engine.render(engine.chat_format.messages(content))

    answer = trace_text.truncate_middle(
        one.answer, lambda text: trace_text.fits_budget(engine, prompt(text), text, room)
    )
    return None if answer is None else prompt(answer)


def ask_model(
    params: ComparisonParams,
    asked: list[tuple[str, Request]],
    ask: GenerateFn,
    protocol: ChatFormat,
) -> tuple[dict[str, str], Counts]:
    """What the model said of each trace, one of SAID, and counts. A reply that does not end in a
    verdict is kept and asked for again under a new attempt; after the last one nothing was said.
    """
    said: dict[str, str] = {}
    pending, without = asked, 0
    for attempt in range(params.attempts):
        pending = [(trace_id, replace(first, attempt=attempt)) for trace_id, first in pending]
        if not pending:
            break
        read = {
            request_: _verdict(reply, request_, protocol)
            for request_, reply in ask(request_ for _, request_ in pending)
        }
        for trace_id, request_ in pending:
            found = read[request_]
            if found is not None:
                said[trace_id] = found
        pending = [(trace_id, request_) for trace_id, request_ in pending if trace_id not in said]
        without += len(pending)
    words = Counter(said.values())
    counts = {
        "asked": len(asked),
        **{word.lower(): words[word] for word in VERDICT_WORDS},
        "no_verdict": len(pending),
        "replies_without_verdict": without,
    }
    return said, counts


def _verdict(reply: Reply, request_: Request, protocol: ChatFormat) -> str | None:
    """The word in the last line; None where that line is anything but a verdict."""
    text, (_, _, start) = read_reply(reply, protocol, request_.prompt)
    lines = [] if start is None else text[start:].strip().split("\n")
    found = _LAST_LINE.fullmatch(lines[-1]) if lines else None
    return None if found is None else found[1].upper()


def apply_verdicts(verdicts: pl.DataFrame, said: dict[str, str]) -> tuple[pl.DataFrame, Counts]:
    """The verdicts (schemas.VERDICT) after what the model said, and which of them changed."""
    changed: Counter[str] = Counter()
    rows = []
    for row in verdicts.iter_rows(named=True):
        if row["trace_id"] in said:
            outcome, reason = VERDICT_WORDS[said[row["trace_id"]]]
            if outcome != row["outcome"]:
                changed[f"{row['outcome']}_to_{outcome}"] += 1
            row |= {"outcome": outcome, "reason": reason, "decided_by": "llm"}
        rows.append(row)
    counts = {"changed": changed.total(), **dict(sorted(changed.items()))}
    return pl.DataFrame(rows, schema=verdicts.schema), counts
