"""Which problems the policy learns from; none occurs in a benchmark (paper, section 3.1)."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from delta import prompts
from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.schemas import PROBLEM, Message, Table
from delta.core.shuffle import shuffle_key
from delta.core.tables import frame_of
from delta.core.types import Counts, Row
from delta.data import conversations, decontamination, openr1, reasoning_gym, sources, user_tables
from delta.data.decontamination import BenchmarkQuestion, NgramIndex, NgramMatch
from delta.data.formats import RowError, math
from delta.data.formats.math import MathSource
from delta.data.openr1 import OpenR1Problems
from delta.data.reasoning_gym import TaskParams
from delta.data.user_tables import TableProblems

# Problems that a benchmark asks too, one row for each such benchmark.
DROPPED = Table(
    "dropped problem",
    ("problem_id", "benchmark"),
    {
        "problem_id": pl.String,
        "statement": pl.String,  # its start
        "benchmark": pl.String,
        "question_id": pl.String,
        "words": pl.String,  # the first words that they share; the whole text where it is short
    },
)
SHOWN = 200  # characters of a dropped statement

# The reasons why a row is no problem, in the order in which they are asked for.
FILTERS = {
    "task": (),
    "openr1": ("lists_differ", "no_statement", "no_answer", "none_correct", "none_incorrect"),
    "table": ("no_statement", *conversations.REASONS, "no_answer", "same_problem"),
    "math": (),
}
ALL_FILTERS = ("in_benchmark", "worked_example", "duplicate", "not_sampled")
Funnels = dict[str, Counter[str]]  # of each source the dropped rows by reason, and "drawn"


class ProblemSource(StrictModel):
    """One entry of `problems.sources`: exactly one of the four, and how its problems are asked."""

    task: TaskParams | None = None
    openr1: OpenR1Problems | None = None
    table: TableProblems | None = None
    math: MathSource | None = None  # the format of a benchmark, such as GSM8K's training rows
    # boxed: the paper's instruction stands before the statement. Left out: none for a table, whose
    # prompts are whole; boxed for all others (paper, section 3.1).
    instruction: Literal["boxed", "none"] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(given := self._kinds()) != 1:
            raise ValueError(f"has {given or 'none'}; allowed: exactly one of {', '.join(FILTERS)}")
        return self

    def _kinds(self) -> list[str]:
        return [name for name in FILTERS if getattr(self, name) is not None]

    def kind(self) -> str:
        return self._kinds()[0]

    @property
    def is_boxed(self) -> bool:
        """Whether its prompts have the instruction."""
        return (self.instruction or ("none" if self.table is not None else "boxed")) == "boxed"

    def prompt(self, statement: str) -> str:
        """Return the user's turn that asks the statement."""
        return prompts.with_instruction(statement) if self.is_boxed else statement


class ProblemsParams(StrictModel):
    sources: Annotated[dict[str, ProblemSource], Field(min_length=1)]
    overlap_words: Annotated[int, Field(ge=2)] | None  # null: only equal statements are dropped
    sample: Annotated[int, Field(ge=1)] | None  # null: all
    seed: Annotated[int, Field(ge=0)]  # of the sample


def build_problems(
    params: ProblemsParams, questions: dict[str, pl.DataFrame]
) -> tuple[pl.DataFrame, pl.DataFrame, Counts]:
    """Problems, those dropped for a benchmark, and counts: drawn = kept + dropped by reason.

    `questions` holds the QUESTION rows of every benchmark. Raises InputError where a benchmark
    asks a worked example, or fewer problems are left than `sample`.
    """
    index = NgramIndex(_asked(questions), params.overlap_words)
    funnels: Funnels = {name: Counter() for name in params.sources}
    by_rule = Counter[str]()
    rows = list(_drawn(params, funnels, by_rule))
    tables = {name for name, source in params.sources.items() if source.table is not None}
    rows, dropped = _unseen(rows, index, _worked_examples(questions), tables, funnels)
    rows = _sampled(rows, params, funnels)
    overlap_of = Counter(row["benchmark"] for row in dropped)
    counts = _counts(params, funnels) | {
        "benchmark_questions": sum(frame.height for frame in questions.values()),
        "in_a_benchmark": sum(bool(_shared(row, index)) for row in rows),
        "overlap": {name: overlap_of[name] for name in questions},
    }
    if by_rule:
        counts["right_and_wrong_trace"] = dict(by_rule)
    assert counts["in_a_benchmark"] == 0
    assert counts["kept"] == len(rows)
    return frame_of(rows, PROBLEM), frame_of(dropped, DROPPED), counts


def _asked(questions: dict[str, pl.DataFrame]) -> Iterator[BenchmarkQuestion]:
    for name, frame in questions.items():
        columns = frame.select("question_id", "statement", "history")
        for question_id, statement, history in columns.iter_rows():
            yield BenchmarkQuestion(name, question_id, _spoken(statement, history))


def _spoken(statement: str, history: list[Message]) -> str:
    """A whole conversation as one text; system prompts, which many share, are left out."""
    turns = [turn["content"] for turn in history if turn["role"] != "system"]
    return "\n".join([*turns, statement])


def _user_turns(row: Row) -> list[str]:
    earlier = [turn["content"] for turn in row["history"] if turn["role"] == "user"]
    return [*earlier, row["statement"]]


def _shared(row: Row, index: NgramIndex) -> list[NgramMatch]:
    """What a benchmark asks too: the whole conversation, or one turn of its user alone."""
    texts = dict.fromkeys([_spoken(row["statement"], row["history"]), *_user_turns(row)])
    by_benchmark = {shared.benchmark: shared for text in texts for shared in index.shared(text)}
    return list(by_benchmark.values())


def _identity(row: Row) -> tuple[tuple[str, str], ...]:
    """Equal for problems that are the same but for case, blanks and LaTeX: every turn of them."""
    turns = [*row["history"], {"role": "user", "content": row["statement"]}]
    return tuple((turn["role"], decontamination.normalized_key(turn["content"])) for turn in turns)


def _worked_examples(questions: dict[str, pl.DataFrame]) -> set[str]:
    worked = {
        decontamination.normalized_key(example.problem) for example in prompts.worked_examples()
    }
    for question in _asked(questions):
        if decontamination.normalized_key(question.statement) in worked:
            raise InputError(
                f"benchmarks.{question.benchmark} asks the worked example {question.statement!r}; "
                "change its seed or the example"
            )
    return worked


def _drawn(params: ProblemsParams, funnels: Funnels, by_rule: Counter[str]) -> Iterator[Row]:
    for name, source in params.sources.items():
        key = f"problems.sources.{name}"
        found: Iterable[Row | str]
        if source.openr1 is not None:
            found = openr1.read_problems(f"{key}.openr1.data", name, source.openr1, by_rule)
        elif source.table is not None:
            found = user_tables.read_problems(f"{key}.table.data", name, source.table)
        elif source.math is not None:
            found = _of_benchmark_format(f"{key}.math.data", name, source.math)
        else:
            assert source.task is not None
            found = _of_task(f"{key}.task", name, source.task)
        for one in found:
            funnels[name]["drawn"] += 1
            if isinstance(one, str):
                funnels[name][one] += 1
            else:
                prompt = source.prompt(one["statement"])
                yield {"history": []} | one | {"prompt": prompt}


def _of_task(key: str, name: str, task: TaskParams) -> Iterator[Row]:
    for number, row in enumerate(reasoning_gym.generate_problems(key, task)):
        yield row | {
            "problem_id": user_tables.problem_id(name, number),
            "source": reasoning_gym.task_version(task),
            "domain": task.task,
        }


def _of_benchmark_format(key: str, name: str, source: MathSource) -> Iterator[Row]:
    for number, row in enumerate(sources.read_rows(key, source.data)):
        try:
            question = math.math_question(source, row)
        except RowError as error:
            raise InputError(f"{key}: row {number}: {error}") from None
        yield {
            "problem_id": user_tables.problem_id(name, number),
            "statement": question.statement,
            "gold_answer": question.gold_answer,
            "source": user_tables.origin(source.data),
            "domain": source.format,
            "metadata": json.dumps(question.metadata, sort_keys=True, default=str),
        }


def _unseen(
    rows: list[Row], index: NgramIndex, worked: set[str], tables: set[str], funnels: Funnels
) -> tuple[list[Row], list[Row]]:
    """Rows that no benchmark, worked example or earlier row holds too; and the DROPPED rows.

    Of rows of one of the `tables` every turn counts to the letter, which is what user_tables has
    compared: code is more than its words, and each row may be a pair that is trained.
    """
    kept, dropped = list[Row](), list[Row]()
    seen: dict[tuple[tuple[str, str], ...], str] = {}  # and in which source
    for row in rows:
        identity, source = _identity(row), user_tables.source_of(row["problem_id"])
        if shared := _shared(row, index):
            shown = {"problem_id": row["problem_id"], "statement": row["statement"][:SHOWN]}
            dropped += [shown | one._asdict() for one in shared]
            _drop(row, "in_benchmark", funnels)
        elif not worked.isdisjoint(map(decontamination.normalized_key, _user_turns(row))):
            _drop(row, "worked_example", funnels)
        elif identity in seen and not (source in tables and seen[identity] == source):
            _drop(row, "duplicate", funnels)
        else:
            seen.setdefault(identity, source)
            kept.append(row)
    return kept, dropped


def _drop(row: Row, reason: str, funnels: Funnels) -> None:
    funnels[user_tables.source_of(row["problem_id"])][reason] += 1


def _sampled(rows: list[Row], params: ProblemsParams, funnels: Funnels) -> list[Row]:
    """A sample, in the order of the sources. A larger one holds all problems of a smaller."""
    least = 1 if params.sample is None else params.sample
    if len(rows) < least:
        drawn = sum(funnel["drawn"] for funnel in funnels.values())
        left = f"{len(rows)} of {drawn} problems are left ({_dropped(funnels)})"
        if not rows:
            raise InputError(f"problems.sources: {left}; allowed: sources that leave one")
        raise InputError(f"problems.sample = {least}: {left}; allowed: 1 to {len(rows)}")
    if params.sample is None:
        return rows
    ids = [row["problem_id"] for row in rows]
    chosen = set(sorted(ids, key=lambda one: shuffle_key(params.seed, one))[: params.sample])
    for row in rows:
        if row["problem_id"] not in chosen:
            _drop(row, "not_sampled", funnels)
    return [row for row in rows if row["problem_id"] in chosen]


def _dropped(funnels: Funnels) -> dict[str, int]:
    """Of all sources together, in the order of the filters; those that dropped something."""
    reasons = dict.fromkeys([*FILTERS["openr1"], *FILTERS["table"], *ALL_FILTERS])
    total = {reason: sum(funnel[reason] for funnel in funnels.values()) for reason in reasons}
    return {reason: count for reason, count in total.items() if count}


def _counts(params: ProblemsParams, funnels: Funnels) -> Counts:
    """Of all and of each source: what was drawn, what every filter dropped, what is kept."""
    by_source = {}
    for name, source in params.sources.items():
        funnel = funnels[name]
        filters = [*FILTERS[source.kind()], *ALL_FILTERS]
        assert set(funnel) <= {"drawn", *filters}, funnel
        dropped = {reason: funnel[reason] for reason in filters}
        drawn = funnel["drawn"]
        by_source[name] = {"drawn": drawn, **dropped, "kept": drawn - sum(dropped.values())}
    return {
        "drawn": sum(one["drawn"] for one in by_source.values()),
        "kept": sum(one["kept"] for one in by_source.values()),
        "dropped": _dropped(funnels),
        "sources": by_source,
    }
