"""Problems and traces from users' own tables: preference files, and files of problem, trace, model.

A row may hold a text, or chat messages (a list of role and content, the conversational form of
TRL). The last turn of the user is the problem's statement and the turns before it its history; the
last turn of the assistant is the trace.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.schemas import OUTCOMES
from delta.core.types import Row
from delta.data import conversations, sources
from delta.data.conversations import Conversation, Reply
from delta.data.sources import DataSource


class TableProblems(StrictModel):
    data: DataSource
    statement: str  # a column
    gold_answer: str | None  # a column; null: nothing is verified


class TableTraces(StrictModel):
    data: DataSource
    statement: str  # a column, as among the problems: it says which problem a trace belongs to
    text: str  # a column
    outcome: (
        str | None
    )  # a column: true, false, or a word of delta.core.schemas.OUTCOMES; null: none
    where: dict[str, str | int | bool]  # column and value: only such rows; {}: all


def origin(source: DataSource) -> str:
    """Where rows come from, and which version of it, in one word."""
    if source.hub is not None:
        return f"{source.hub.repository}@{source.hub.revision}"
    if source.files is not None:
        return f"{source.files.repository}@{source.files.revision}"
    if source.wheel is not None:
        return source.wheel.package
    assert source.file is not None
    return f"sha256:{source.file.sha256}"


def problem_id(source: str, row: int) -> str:
    """Problems and recorded traces must agree on it. A column could be null, or repeat itself."""
    return f"{source}.{row}"


def source_of(problem_id_: str) -> str:
    return problem_id_.rpartition(".")[0]


def _numbered(
    key: str, source: str, name: str, data: DataSource, columns: list[str]
) -> Iterator[tuple[int, str, Conversation | str, Row]]:
    """Number, problem_id and conversation of every row, or in its place why the row has none.

    Rows with one conversation, all its turns, are one problem. `source` is the name among
    `problems.sources`, `name` the column of the statement.
    """
    ids: dict[tuple[tuple[str, str], ...], str] = {}
    wanted = list(dict.fromkeys([name, *columns]))
    for number, row in enumerate(sources.read_rows(key, data, wanted)):
        own_id = problem_id(source, number)
        conversation = conversations.read_question(f"{key}: row {number}: {name}", row[name])
        if isinstance(conversation, Conversation):
            own_id = ids.setdefault(conversation.turns(), own_id)
        yield number, own_id, conversation, row


def read_problems(key: str, source: str, params: TableProblems) -> Iterator[Row | str]:
    """Each row's problem, or why there is none."""
    gold = params.gold_answer
    columns = [gold] if gold is not None else []
    answers: dict[str, str] = {}
    for number, own_id, conversation, row in _numbered(
        key, source, params.statement, params.data, columns
    ):
        if isinstance(conversation, str):
            yield conversation
            continue
        answer = "" if gold is None else _answer(f"{key}: row {number}: {gold}", row[gold])
        if answer is None:
            yield "no_answer"
        elif own_id not in answers:
            answers[own_id] = answer
            yield {
                "problem_id": own_id,
                "statement": conversation.statement,
                "history": conversation.messages(),
                "gold_answer": answer,
                "source": origin(params.data),
                "domain": source,
                "metadata": "{}",
            }
        elif answers[own_id] != answer:
            raise InputError(
                f"{key}: row {number}: {gold} = {answer!r}: the problem has {answers[own_id]!r} in "
                "an earlier row; allowed: one gold answer for a statement"
            )
        else:
            yield "same_problem"


def read_traces(key: str, source: str, params: TableTraces) -> Iterator[Row | str]:
    """Each row's recorded trace, or why there is none."""
    columns = [params.text, *params.where, *([params.outcome] if params.outcome else [])]
    seen: dict[str, int] = defaultdict(int)
    found: dict[str, set[str]] = {name: set() for name in params.where}
    number, matched = -1, False
    for number, own_id, conversation, row in _numbered(
        key, source, params.statement, params.data, columns
    ):
        for name, values in found.items():
            if len(values) < 10:
                values.add(repr(row[name]))
        if any(row[name] != value for name, value in params.where.items()):
            yield "other_rows"
            continue
        matched = True
        if isinstance(conversation, str):
            yield conversation
            continue
        # Counted before a row can fall out: the traces of one row keep one number in every
        # recording, so what a file has paired can be paired again.
        sample, seen[own_id] = seen[own_id], seen[own_id] + 1
        reply = conversations.read_reply(f"{key}: row {number}: {params.text}", row[params.text])
        if isinstance(reply, Reply):
            reply = _answer_to(conversation, reply)
        if isinstance(reply, str):
            yield reply
            continue
        yield {
            "problem_id": own_id,
            "sample": sample,
            "text": reply.text,
            "finish_reason": "stop",  # the table knows of no limit
            "outcome": _outcome(f"{key}: row {number}: ", params.outcome, row),
            "source_row": number,
        }
    if number < 0:
        raise InputError(f"{key}.data: holds no row; allowed: one or more")
    if not matched:
        there = "; ".join(f"{name}: {', '.join(sorted(found[name]))}" for name in found)
        raise InputError(f"{key}.where = {params.where}: no row is like that; there are {there}")


def _answer_to(conversation: Conversation, reply: Reply) -> Reply | str:
    """The reply, or why it does not answer the conversation as it stands."""
    if reply.history:
        # TRL's form without a prompt has the whole conversation in either side.
        return reply if reply.history == conversation.turns() else "other_conversation"
    return "continues_a_turn" if conversation.answered else reply


def _answer(what: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{what} = {value!r}: allowed: a text or a number")
    answer = str(value).strip()
    if answer.lower() == "nan" or (isinstance(value, float) and not math.isfinite(value)):
        raise InputError(f"{what} = {value!r}: allowed: a finite number")
    return answer or None


def _outcome(what: str, column: str | None, row: Row) -> str | None:
    value = row[column] if column is not None else None
    if isinstance(value, bool):
        return "correct" if value else "incorrect"
    if value is None or value in OUTCOMES:
        return value
    raise InputError(
        f"{what}{column} = {value!r}: allowed: true, false, null, {', '.join(OUTCOMES)}"
    )
