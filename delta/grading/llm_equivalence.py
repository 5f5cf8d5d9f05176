"""Ask a model to compare the final answers that the grader did not accept (paper, section 3.1).

Math-Verify often fails on the form alone: the letter of an option against its value, several
values, words. Only complete traces with a clear box are compared, as in the OpenR1 protocol.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Annotated, NamedTuple

import polars as pl
from pydantic import Field

from delta.core.errors import InputError
from delta.core.types import Counts
from delta.grading.formulas.boxes import last_box
from delta.inference.chat_formats import ChatFormat
from delta.inference.config import SamplingParams
from delta.inference.engine import Engine, build_request
from delta.inference.parsed_replies import ParseFailure, generate_parsed
from delta.inference.types import GenerateFn, Reply, Request
from delta.prompts import prompt_files, trace_text

# A word that the model may answer -> the trace's (outcome, reason).
VERDICT_WORDS = {
    "EQUIVALENT": ("correct", None),
    "DIFFERENT": ("incorrect", "different"),
    "AMBIGUOUS": ("ungradable", "ambiguous"),
}
_LAST_LINE = re.compile(rf"\W*Verdict\W+({'|'.join(VERDICT_WORDS)})\W*", re.IGNORECASE)


class ComparisonParams(SamplingParams):
    """The sampling of the model that compares final answers."""

    model: str  # a name in `models`
    max_attempts: Annotated[int, Field(ge=1)]  # without a verdict, the grader's is kept


class UnresolvedAnswer(NamedTuple):
    """A trace whose final answer the grader did not accept."""

    trace_id: str
    statement: str
    gold_answer: str
    answer: str  # the part after the reasoning


def unresolved_answers(
    batches: Iterable[pl.DataFrame], verdicts: pl.DataFrame
) -> list[UnresolvedAnswer]:
    """Return the complete traces with a clear box that the grader did not accept.

    `batches` are traces with their problem; `verdicts` is a schemas.VERDICT table.
    """
    not_accepted = (pl.col("decided_by") == "grader") & (pl.col("outcome") != "correct")
    ids = set(verdicts.filter(not_accepted)["trace_id"])
    has_gold = pl.col("gold_answer").str.strip_chars() != ""
    answers = []
    for batch in batches:
        complete = batch.filter(has_gold & (pl.col("finish_reason") == "stop"))
        for row in complete.iter_rows(named=True):
            answer = trace_text.answer_text(row) if row["trace_id"] in ids else None
            # Not the box in `verdicts`: a killed worker returned none.
            if answer is not None and (last_box(answer) or "").strip():
                statement = trace_text.problem_text(row)
                answers.append(
                    UnresolvedAnswer(row["trace_id"], statement, row["gold_answer"], answer)
                )
    return answers


def build_requests(
    params: ComparisonParams,
    engine: Engine,
    model: str,
    max_prompt_tokens: int,
    answers: Iterable[UnresolvedAnswer],
) -> Iterator[tuple[str, Request]]:
    """Yield (trace_id, request) for each answer.

    The middle of a long answer is cut out, never the box at its end. Raises InputError if the
    problem alone is too long.
    """
    for unresolved in answers:
        render = partial(_prompt, engine, unresolved)
        answer = trace_text.truncate_to_fit(
            unresolved.answer, render, engine.num_tokens, max_prompt_tokens
        )
        if answer is None:
            raise InputError(
                f"serving.{params.model}.max_model_len: beside verify.llm.max_tokens = "
                f"{params.max_tokens} it leaves {max_prompt_tokens} tokens, not enough for the "
                f"problem of trace {unresolved.trace_id!r}"
            )
        prompt = render(answer)
        yield unresolved.trace_id, build_request(params, engine, model, prompt, sample=0)


def _prompt(engine: Engine, unresolved: UnresolvedAnswer, answer: str) -> str:
    content = prompt_files.template("equivalence.txt").substitute(
        statement=trace_text.escape_markup(unresolved.statement),
        gold_answer=trace_text.escape_markup(unresolved.gold_answer),
        answer=trace_text.escape_markup(answer),
    )
    return engine.render(engine.chat_format.messages(content))


def ask_model(
    params: ComparisonParams,
    requests: list[tuple[str, Request]],
    generate: GenerateFn,
    chat_format: ChatFormat,
) -> tuple[dict[str, str], Counts]:
    """Return the model's verdict by trace_id, one of VERDICT_WORDS, and counts.

    A reply without a verdict is requested again, up to params.max_attempts. A trace without any
    verdict is left out.
    """
    verdicts, failures, _ = generate_parsed(
        requests, generate, chat_format, _parse_verdict, params.max_attempts
    )
    by_word = Counter(verdicts.values())
    counts = {
        "asked": len(requests),
        **{word.lower(): by_word[word] for word in VERDICT_WORDS},
        "no_verdict": len(requests) - len(verdicts),
        "replies_without_verdict": failures.total(),
    }
    return verdicts, counts


def _parse_verdict(_reply: Reply, answer: str | None) -> str | ParseFailure:
    """Return the word in the last line."""
    lines = [] if answer is None else answer.strip().split("\n")
    match = _LAST_LINE.fullmatch(lines[-1]) if lines else None
    return ParseFailure("no verdict") if match is None else match[1].upper()


def apply_verdicts(
    verdicts: pl.DataFrame, llm_verdicts: dict[str, str]
) -> tuple[pl.DataFrame, Counts]:
    """Return the table (schemas.VERDICT) with the model's verdicts, and counts of the changes."""
    changed: Counter[str] = Counter()
    rows = []
    for row in verdicts.iter_rows(named=True):
        if row["trace_id"] in llm_verdicts:
            outcome, reason = VERDICT_WORDS[llm_verdicts[row["trace_id"]]]
            if outcome != row["outcome"]:
                changed[f"{row['outcome']}_to_{outcome}"] += 1
            row |= {"outcome": outcome, "reason": reason, "decided_by": "llm"}
        rows.append(row)
    counts = {"changed": changed.total(), **dict(sorted(changed.items()))}
    return pl.DataFrame(rows, schema=verdicts.schema), counts
