"""Problems and traces from users' own tables: preference files, or rows of problem, trace, model.

A cell is a text, or a conversation in TRL's conversational format. The last turn of the user is
the problem's statement, and the turns before it are its history. The last turn of the assistant is
the trace.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from delta.core.errors import InputError
from delta.core.params import StrictModel
from delta.core.schemas import OUTCOMES
from delta.core.types import Row
from delta.data.conversations import (
    AssistantTurn,
    Conversation,
    read_assistant_turn,
    read_conversation,
)
from delta.data.rows import read_rows
from delta.data.sources import DataSource, problem_id

MAX_VALUES = 10  # of a column in an error message


class TableProblems(StrictModel):
    """The problems in the rows of a user's table."""

    data: DataSource
    statement: str  # a column
    gold_answer: str | None  # a column; null: nothing is verified


class TableTraces(StrictModel):
    """The traces in a column of a user's table."""

    data: DataSource
    statement: str  # the problems' column, since it identifies the problem that a trace answers
    text: str  # a column
    outcome: str | None  # a column of true, false or OUTCOMES; null: there is none
    where: dict[str, str | int | bool]  # column and value: only such rows; {}: all


def read_problems(key: str, source: str, params: TableProblems) -> Iterator[Row | str]:
    """Yield each row's problem, or the reason why it is dropped.

    `source` is the name in `problems.sources`. Raises InputError where two rows give a statement
    different gold answers.
    """
    column = params.gold_answer
    answers: dict[str, str] = {}
    for number, id_, conversation, row in _conversations(
        key, source, params.statement, params.data, [column] if column is not None else []
    ):
        if isinstance(conversation, str):
            yield conversation
            continue
        cell_key = f"{key}: row {number}: {column}"
        answer = "" if column is None else _read_answer(cell_key, row[column])
        if answer is None:
            yield "no_answer"
        elif id_ not in answers:
            answers[id_] = answer
            yield {
                "problem_id": id_,
                "statement": conversation.statement,
                "history": conversation.history,
                "gold_answer": answer,
                "source": params.data.origin,
                "domain": source,
                "metadata": "{}",
            }
        elif answers[id_] != answer:
            raise InputError(
                f"{cell_key} = {answer!r}: an earlier row has "
                f"{answers[id_]!r}; expected one gold answer for a statement"
            )
        else:
            yield "same_problem"


def read_traces(key: str, source: str, params: TableTraces) -> Iterator[Row | str]:
    """Yield each row's recorded trace, or the reason why it is dropped.

    `source` is the name in `problems.sources`. Raises InputError where no row matches `where`.
    """
    columns = [params.text, *params.where, *([params.outcome] if params.outcome else [])]
    samples = Counter[str]()
    values: dict[str, set[str]] = {name: set() for name in params.where}
    number, has_match = -1, False
    for number, id_, conversation, row in _conversations(
        key, source, params.statement, params.data, columns
    ):
        for name, seen in values.items():
            if len(seen) < MAX_VALUES:
                seen.add(repr(row[name]))
        if any(row[name] != value for name, value in params.where.items()):
            yield "other_rows"
            continue
        has_match = True
        if isinstance(conversation, str):
            yield conversation
            continue
        # Counted before a row can be dropped: both traces of one row then have one sample number,
        # so that the file's own pairs can be found.
        sample = samples[id_]
        samples[id_] += 1
        row_key = f"{key}: row {number}"
        turn = read_assistant_turn(f"{row_key}: {params.text}", row[params.text])
        if isinstance(turn, AssistantTurn):
            turn = _check_history(conversation, turn)
        if isinstance(turn, str):
            yield turn
            continue
        yield {
            "problem_id": id_,
            "sample": sample,
            "text": turn.text,
            "finish_reason": "stop",  # a table does not say whether a limit was met
            "outcome": _read_outcome(row_key, params.outcome, row),
            "source_row": number,
        }
    if number < 0:
        raise InputError(f"{key}.data: holds no row; expected one or more")
    if not has_match:
        existing = "; ".join(f"{name}: {', '.join(sorted(seen))}" for name, seen in values.items())
        raise InputError(f"{key}.where = {params.where}: no row is like that; there are {existing}")


def _conversations(
    key: str, source: str, statement: str, data: DataSource, columns: list[str]
) -> Iterator[tuple[int, str, Conversation | str, Row]]:
    """Yield each row's number, problem_id, and conversation or the reason why it has none.

    Rows whose conversations are equal in every turn are one problem.
    """
    ids: dict[str, str] = {}
    for number, row in enumerate(read_rows(key, data, list(dict.fromkeys([statement, *columns])))):
        id_ = problem_id(source, number)
        conversation = read_conversation(f"{key}: row {number}: {statement}", row[statement])
        if isinstance(conversation, Conversation):
            id_ = ids.setdefault(json.dumps(conversation.turns()), id_)
        yield number, id_, conversation, row


def _check_history(conversation: Conversation, turn: AssistantTurn) -> AssistantTurn | str:
    """Return the turn, or the reason why it does not answer the conversation."""
    if turn.history:
        # In TRL's format without a prompt, chosen and rejected have the whole conversation.
        return turn if turn.history == conversation.turns() else "other_conversation"
    return "continues_a_turn" if conversation.has_answer else turn


def _read_answer(key: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{key} = {value!r}; expected a text or a number")
    answer = str(value).strip()
    if answer.lower() == "nan" or (isinstance(value, float) and not math.isfinite(value)):
        raise InputError(f"{key} = {value!r}; expected a finite number")
    return answer or None


def _read_outcome(key: str, column: str | None, row: Row) -> str | None:
    value = row[column] if column is not None else None
    if isinstance(value, bool):
        return "correct" if value else "incorrect"
    if value is None or value in OUTCOMES:
        return value
    expected = ", ".join(OUTCOMES)
    raise InputError(f"{key}: {column} = {value!r}; expected true, false, null, {expected}")
