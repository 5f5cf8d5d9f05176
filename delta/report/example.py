"""Choose one question that shows what a run taught, with the answer before and after."""

import unicodedata
from collections.abc import Callable, Iterable
from typing import NamedTuple

import polars as pl

from delta.core import paths, tables
from delta.core.schemas import ANSWER, QUESTION
from delta.report.this_run import EXPRESSIONS

MAX_CHARACTERS = 360  # of a text on the first screen
END = 120  # of them from the end, where the answer stands
JUDGED = ["question_id", "sample", "outcome", "extracted", "finish_reason"]
# What the question shows → what the base's answer lacks and the policy's has, the best first.
KINDS = (
    ("right", EXPRESSIONS["correct"]),
    ("form", EXPRESSIONS["asked_form"]),
    ("finished", EXPRESSIONS["finished"]),
)
UNCHANGED = "unchanged"


class AnswerKey(NamedTuple):
    """Which answer of both models, and what it shows."""

    kind: str  # of KINDS, or UNCHANGED
    benchmark: str
    question_id: str
    sample: int


class ShownAnswer(NamedTuple):
    """An answer as the page shows it."""

    text: str  # shortened
    outcome: str
    reason: str | None  # why it is not correct
    finish_reason: str


class Example(NamedTuple):
    """A question with the answers of the base and the policy."""

    kind: str
    benchmark: str
    statement: str  # shortened
    gold_answer: str | None  # None: a program's tests
    base: ShownAnswer
    policy: ShownAnswer


def choose(
    benchmarks: Iterable[str], read: Callable[[str], tuple[pl.DataFrame, pl.DataFrame]]
) -> AnswerKey | None:
    """Return the first answer that was wrong before and is right after, in the order of questions.

    If there is none, return the first whose form improved, then the first that is finished, then
    the first of all; None without questions. `read` returns the answers of base and policy to a
    benchmark with the columns JUDGED.
    """
    best: AnswerKey | None = None
    kinds = [name for name, _ in KINDS]
    for benchmark in benchmarks:
        base, policy = read(benchmark)
        if best is None and base.height:
            best = AnswerKey(UNCHANGED, benchmark, *base.select("question_id", "sample").row(0))
        for rank, (kind, has) in enumerate(KINDS):
            if best is not None and best.kind in kinds[: rank + 1]:
                break
            improved = policy.filter(has).join(
                base.filter(~has),
                on=["question_id", "sample"],
                how="semi",
                maintain_order="left",
            )
            if improved.height:
                row = improved.select("question_id", "sample").row(0)
                best = AnswerKey(kind, benchmark, *row)
                break
        if best is not None and best.kind == kinds[0]:
            break
    return best


def read_example(base: str, benchmarks: list[str]) -> Example | None:
    """Choose and read the example of this workspace; None without questions.

    Raises InputError where a table is missing or damaged.
    """
    key = choose(
        benchmarks,
        lambda name: (
            tables.read(paths.answers(base, name), ANSWER, JUDGED),
            tables.read(paths.answers(paths.POLICY, name), ANSWER, JUDGED),
        ),
    )
    if key is None:
        return None
    is_question = pl.col("question_id") == key.question_id
    path = paths.questions(key.benchmark)
    with tables.wrap_read_errors(path):
        question = tables.scan(path, QUESTION).filter(is_question)
        row = question.select("statement", "gold_answer", "grader").collect().row(0, named=True)
    return Example(
        key.kind,
        key.benchmark,
        shorten(row["statement"]),
        None if row["grader"] == "code" else shorten(row["gold_answer"]),
        *(_read_answer(model, key) for model in (base, paths.POLICY)),
    )


def _read_answer(model: str, key: AnswerKey) -> ShownAnswer:
    path = paths.answers(model, key.benchmark)
    is_answer = (pl.col("question_id") == key.question_id) & (pl.col("sample") == key.sample)
    with tables.wrap_read_errors(path):
        answer = tables.scan(path, ANSWER).filter(is_answer)
        row = answer.select(ShownAnswer._fields).collect().row(0, named=True)
    return ShownAnswer(**row | {"text": shorten(row["text"])})


def shorten(text: str) -> str:
    """Return the text without its middle if it is long, and with hidden characters named."""
    text = text.strip()
    if len(text) > MAX_CHARACTERS:
        text = f"{text[: MAX_CHARACTERS - END].rstrip()} […] {text[-END:].lstrip()}"
    return "".join(
        f"[U+{ord(character):04X}]"
        if character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")
        else character
        for character in text
    )
