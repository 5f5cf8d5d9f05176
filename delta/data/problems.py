"""Stage `problems`: what the policy learns from, without benchmark questions (paper, 3.1)."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, TypeAlias

import polars as pl
from pydantic import Field

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.schemas import PROBLEM, Message, Table
from delta.core.shuffle import shuffle_key
from delta.core.tables import frame_of
from delta.core.types import Counts, Row
from delta.data import arithmetic, openr1, reasoning_gym, user_tables
from delta.data.arithmetic import ArithmeticParams
from delta.data.conversations import DROP_REASONS
from delta.data.decontamination import (
    BenchmarkQuestion,
    NgramIndex,
    NgramMatch,
    normalized_key,
    terms_of,
)
from delta.data.formats.math import MathSource, math_question
from delta.data.formats.question import RowError
from delta.data.openr1 import OpenR1Problems
from delta.data.reasoning_gym import TaskParams
from delta.data.rows import read_rows
from delta.data.sources import OneOf, problem_id, source_of
from delta.data.user_tables import TableProblems
from delta.prompts import prompt_files

# Problems that a benchmark asks too, a row for each such benchmark.
DROPPED = Table(
    "dropped problem",
    ("problem_id", "benchmark"),
    {
        "problem_id": pl.String,
        "statement": pl.String,  # its start
        "benchmark": pl.String,
        "question_id": pl.String,
        "words": pl.String,  # the first common n-gram or terms; the whole text where it is short
    },
)
# What `build_problems` reads of a benchmark. Not the golds: tests of programs have gigabytes.
QUESTION_COLUMNS = ["question_id", "statement", "history", "metadata"]
MAX_STATEMENT = 200  # characters of a dropped statement

# Why a row is dropped: by the reader of its source, then by the filters of all sources.
READER_REASONS = {
    "task": (),
    "arithmetic": (),
    "openr1": ("lists_differ", "no_statement", "no_answer", "none_correct", "none_incorrect"),
    "table": ("no_statement", *DROP_REASONS, "no_answer", "same_problem"),
    "math": (),
}
FILTER_REASONS = ("in_benchmark", "worked_example", "duplicate", "not_sampled")

Questions: TypeAlias = dict[str, pl.DataFrame]  # benchmark → its QUESTION rows
Drops: TypeAlias = dict[str, Counter[str]]  # source → reason → rows; and "drawn" → rows read
Identity: TypeAlias = tuple[tuple[str, str], ...]


class ProblemSource(
    OneOf[ArithmeticParams | TaskParams | OpenR1Problems | TableProblems | MathSource]
):
    """One entry of `problems.sources`, and how its problems are prompted."""

    KINDS = ("arithmetic", "task", "openr1", "table", "math")

    arithmetic: ArithmeticParams | None = None
    task: TaskParams | None = None
    openr1: OpenR1Problems | None = None
    table: TableProblems | None = None
    math: MathSource | None = None  # a benchmark's format, such as GSM8K's training rows
    # boxed: the paper's instruction precedes the statement (section 3.1). The default is none for a
    # table, whose prompts are complete, and boxed for all others.
    instruction: Literal["boxed", "none"] | None = None

    @property
    def is_boxed(self) -> bool:
        """Return whether its prompts begin with the instruction."""
        return (self.instruction or ("none" if self.kind == "table" else "boxed")) == "boxed"

    @property
    def generated(self) -> int | None:
        """Return the number of problems that a seed generates; None for a dataset."""
        value = self.arithmetic or self.task
        return None if value is None else value.problems

    @property
    def origin(self) -> str:
        """Return where the problems come from, and which version."""
        value = self.value
        if isinstance(value, ArithmeticParams):
            return f"arithmetic, {value.kind}, seed {value.seed}"
        if isinstance(value, TaskParams):
            return f"reasoning-gym, task {value.task}, seed {value.seed}"
        return value.data.origin

    def prompt(self, statement: str) -> str:
        """Return the user's turn that asks the statement."""
        return prompt_files.with_instruction(statement) if self.is_boxed else statement


class ProblemsParams(StrictModel):
    """The section `problems` of params.yaml."""

    sources: Annotated[dict[str, ProblemSource], Field(min_length=1)]
    overlap_words: Annotated[int, Field(ge=2)] | None  # null: only equal statements are dropped
    sample: Annotated[int, Field(ge=1)] | None  # null: all
    seed: Annotated[int, Field(ge=0)]  # of the sample


def build_problems(
    params: ProblemsParams, questions: Questions, key: str = "problems.sources"
) -> tuple[pl.DataFrame, pl.DataFrame, Counts]:
    """Return the PROBLEM rows, the DROPPED rows, and counts: drawn = kept + dropped by reason.

    `key` names the sources in messages. Raises InputError where a benchmark asks a worked example,
    or fewer problems than `sample` remain.
    """
    index = NgramIndex(_benchmark_questions(questions), params.overlap_words)
    drops: Drops = {name: Counter() for name in params.sources}
    by_rule = Counter[str]()
    rows = list(_read_problems(key, params, drops, by_rule))
    tables = {name for name, source in params.sources.items() if source.kind == "table"}
    rows, dropped = _filter(rows, index, _worked_examples(questions), tables, drops)
    rows = _sample(key, rows, params, drops)
    overlaps = Counter(row["benchmark"] for row in dropped)
    counts = _counts(params, drops) | {
        "benchmark_questions": sum(frame.height for frame in questions.values()),
        "in_a_benchmark": sum(bool(_matches(row, index)) for row in rows),
        "overlap": {name: overlaps[name] for name in questions},
    }
    if by_rule:
        counts["correct_and_incorrect_trace"] = dict(by_rule)
    assert counts["in_a_benchmark"] == 0
    assert counts["kept"] == len(rows)
    return frame_of(rows, PROBLEM), frame_of(dropped, DROPPED), counts


def _read_problems(
    key: str, params: ProblemsParams, drops: Drops, by_rule: Counter[str]
) -> Iterator[Row]:
    for name, source in params.sources.items():
        for number, item in enumerate(_read_source(key, name, source, by_rule)):
            drops[name]["drawn"] += 1
            if isinstance(item, str):
                drops[name][item] += 1
            else:
                defaults = {"problem_id": problem_id(name, number), "history": []}
                yield defaults | item | {"prompt": source.prompt(item["statement"])}


def _read_source(
    key: str, name: str, source: ProblemSource, by_rule: Counter[str]
) -> Iterable[Row | str]:
    """Yield for each row its problem, or the reason why it is dropped."""
    key = f"{key}.{name}.{source.kind}"
    match source.value:
        case OpenR1Problems() as params:
            return openr1.read_problems(f"{key}.data", name, params, by_rule)
        case TableProblems() as table:
            return user_tables.read_problems(f"{key}.data", name, table)
        case MathSource() as math:
            return _math_problems(f"{key}.data", math)
        case ArithmeticParams() as calculations:
            return arithmetic.generate_problems(key, calculations, calculations.problems)
        case TaskParams() as task:
            return reasoning_gym.generate_problems(key, task, task.problems)


def _math_problems(key: str, source: MathSource) -> Iterator[Row]:
    for number, row in enumerate(read_rows(key, source.data)):
        try:
            question = math_question(source, row)
        except RowError as error:
            raise InputError(f"{key}: row {number}: {error}") from None
        yield {
            "statement": question.statement,
            "gold_answer": question.gold_answer,
            "source": source.data.origin,
            "domain": source.format,
            "metadata": json.dumps(question.metadata, sort_keys=True, default=str),
        }


def _benchmark_questions(questions: Questions) -> Iterator[BenchmarkQuestion]:
    for name, frame in questions.items():
        columns = frame.select("question_id", "statement", "history", "metadata")
        for question_id, statement, history, metadata in columns.iter_rows():
            text = _join_turns(statement, history)
            yield BenchmarkQuestion(name, question_id, text, terms_of(metadata))


def _join_turns(statement: str, history: list[Message]) -> str:
    """Return a conversation as one text, without system prompts, which many problems share."""
    turns = [turn["content"] for turn in history if turn["role"] != "system"]
    return "\n".join([*turns, statement])


def _user_turns(row: Row) -> list[str]:
    earlier = [turn["content"] for turn in row["history"] if turn["role"] == "user"]
    return [*earlier, row["statement"]]


def _worked_examples(questions: Questions) -> set[str]:
    examples = {normalized_key(example.problem) for example in prompt_files.worked_examples()}
    for question in _benchmark_questions(questions):
        if normalized_key(question.statement) in examples:
            raise InputError(
                f"benchmarks.{question.benchmark} asks the worked example {question.statement!r}; "
                "change its seed or the example"
            )
    return examples


def _matches(row: Row, index: NgramIndex) -> list[NgramMatch]:
    """Return the benchmarks' matches with the whole conversation or with one turn of its user.

    A question whose answer has the same terms, in any order, matches too.
    """
    texts = dict.fromkeys([_join_turns(row["statement"], row["history"]), *_user_turns(row)])
    matches = index.matches_of_terms(terms_of(row["metadata"]))
    matches += [match for text in texts for match in index.matches(text)]
    return list({match.benchmark: match for match in matches}.values())


def _identity(row: Row) -> Identity:
    """Return what is equal for two rows that are one problem.

    With steps it is the answer's terms, which have no order; else every turn's role and key, which
    are equal where only typesetting differs.
    """
    if (terms := terms_of(row["metadata"])) is not None:
        return (("terms", terms),)
    turns = [*row["history"], {"role": "user", "content": row["statement"]}]
    return tuple((turn["role"], normalized_key(turn["content"])) for turn in turns)


def _filter(
    rows: list[Row], index: NgramIndex, examples: set[str], tables: set[str], drops: Drops
) -> tuple[list[Row], list[Row]]:
    """Return the rows that no benchmark, worked example or earlier row repeats, and DROPPED rows.

    Two rows of one source among `tables` are never duplicates here. `user_tables` has compared
    their exact texts, code differs in more than its words, and each row may be a pair to train on.
    """
    kept, dropped = list[Row](), list[Row]()
    first_source: dict[Identity, str] = {}
    for row in rows:
        identity, source = _identity(row), source_of(row["problem_id"])
        if matches := _matches(row, index):
            start = {"problem_id": row["problem_id"], "statement": row["statement"][:MAX_STATEMENT]}
            dropped += [start | match._asdict() for match in matches]
            drops[source]["in_benchmark"] += 1
        elif not examples.isdisjoint(map(normalized_key, _user_turns(row))):
            drops[source]["worked_example"] += 1
        elif identity in first_source and not (
            source in tables and first_source[identity] == source
        ):
            drops[source]["duplicate"] += 1
        else:
            first_source.setdefault(identity, source)
            kept.append(row)
    return kept, dropped


def _sample(key: str, rows: list[Row], params: ProblemsParams, drops: Drops) -> list[Row]:
    """Return a sample in the order of the sources. A larger sample contains a smaller one."""
    if len(rows) < (params.sample or 1):
        drawn = sum(counts["drawn"] for counts in drops.values())
        remaining = f"{len(rows)} of {drawn} problems remain ({_total(drops)})"
        if not rows:
            raise InputError(f"{key}: {remaining}; expected sources that leave one")
        raise InputError(
            f"problems.sample = {params.sample}: {remaining}; expected 1 to {len(rows)}"
        )
    if params.sample is None:
        return rows
    ids = [row["problem_id"] for row in rows]
    sample = set(sorted(ids, key=lambda id_: shuffle_key(params.seed, id_))[: params.sample])
    for id_ in ids:
        if id_ not in sample:
            drops[source_of(id_)]["not_sampled"] += 1
    return [row for row in rows if row["problem_id"] in sample]


def _total(drops: Drops) -> dict[str, int]:
    """Return the dropped rows of all sources by reason, in the order of the filters."""
    reasons = [*READER_REASONS["openr1"], *READER_REASONS["table"], *FILTER_REASONS]
    total = {reason: sum(counts[reason] for counts in drops.values()) for reason in reasons}
    return {reason: count for reason, count in total.items() if count}


def _counts(params: ProblemsParams, drops: Drops) -> Counts:
    """Return the problems drawn, dropped by reason and kept, in total and by source."""
    by_source = {}
    for name, source in params.sources.items():
        reasons = [*READER_REASONS[source.kind], *FILTER_REASONS]
        assert set(drops[name]) <= {"drawn", *reasons}, drops[name]
        drawn = drops[name]["drawn"]
        dropped = {reason: drops[name][reason] for reason in reasons}
        by_source[name] = {"drawn": drawn, **dropped, "kept": drawn - sum(dropped.values())}
    return {
        "drawn": sum(counts["drawn"] for counts in by_source.values()),
        "kept": sum(counts["kept"] for counts in by_source.values()),
        "dropped": _total(drops),
        "sources": by_source,
    }
