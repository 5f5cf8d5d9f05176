"""Results of experiments, kept in Git: scores, and the correct answers to each question."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from delta.core import paths, tables
from delta.core.errors import InputError
from delta.core.files import write_text
from delta.core.schemas import ANSWER
from delta.core.types import Counts
from delta.evaluation.answer_measures import CORRECT

POLICY_AGAINST_BASE = "policy_against_base"  # in the counts of stage train: policy_measures
NUMBERS = re.compile(r"\[\n[-+.eE\d,\s]*\]")  # an indented list; no string of JSON has a line break


@dataclass(frozen=True)
class AnswerCounts:
    """Counts of correct answers to each question of a benchmark, in the order of questions."""

    samples: int  # answers a question
    correct: tuple[int, ...]

    @cached_property
    def array(self) -> NDArray[np.int64]:
        """Return the counts as an array, made once."""
        return np.array(self.correct, dtype=np.int64)


@dataclass(frozen=True)
class Result:
    """The scores of one trained policy. `key` is the digest of its parameters (grid.result_key)."""

    key: str
    name: str  # of the DVC experiment that ran it
    changes: dict[str, Any]  # dotted parameters that differ from the profile's
    commit: str
    date: str
    seconds: int | None  # wall-clock time; None if the run was collected later
    counts: dict[str, dict[str, Any]]  # of pair, select and train
    scores: dict[str, dict[str, Any]]  # by benchmark, as in data/counts/evaluate
    answers: dict[str, AnswerCounts]  # by benchmark


def count_answers(rows: pl.DataFrame, counted: pl.Expr = CORRECT) -> AnswerCounts:
    """Count the answers for which `counted` is true in the rows of one benchmark (ANSWER).

    Questions for which it is null are left out.
    """
    questions = (
        rows.select("question_id", answers=counted)
        .drop_nulls("answers")
        .group_by("question_id", maintain_order=True)
        .agg(pl.col("answers").sum(), samples=pl.len())
    )
    (samples,) = questions["samples"].unique() if questions.height else (1,)
    return AnswerCounts(samples, tuple(questions["answers"]))


def read_answers(model: str, benchmarks: Iterable[str]) -> dict[str, AnswerCounts]:
    """Count the correct answers of a model of this workspace, by benchmark."""
    columns = ["question_id", "outcome"]
    return {
        benchmark: count_answers(tables.read(paths.answers(model, benchmark), ANSWER, columns))
        for benchmark in benchmarks
    }


def add_deltas(train: Counts, selected: pl.DataFrame) -> Counts:
    """Return the counts of stage train with the delta of each pair whose margin it measured.

    `selected` is the table of stage select; a pair without a score has the delta None. The training
    itself does not read deltas, and equal pair sets are one training.
    """
    measured = train.get(POLICY_AGAINST_BASE)
    if measured is None:
        return train
    scores = dict(selected.select("pair_id", "score").iter_rows())
    named = {name: value for name, value in measured.items() if name != "pair_ids"}
    deltas = [scores[pair_id] for pair_id in measured["pair_ids"]]
    return train | {POLICY_AGAINST_BASE: named | {"deltas": deltas}}


def write(result: Result, folder: Path = paths.RUNS) -> Path:
    """Write a result to KEY.json in `folder`, and return that file.

    A list of numbers is on one line, without spaces: small in Git.
    """
    indented = json.dumps(asdict(result), indent=1, ensure_ascii=False)
    path = folder / f"{result.key}.json"
    write_text(path, NUMBERS.sub(lambda match: "".join(match[0].split()), indented) + "\n")
    return path


def read(key: str, folder: Path = paths.RUNS) -> Result | None:
    """Return a result, or None if it does not exist. Raises InputError if it is damaged."""
    path = folder / f"{key}.json"
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["answers"] = {
            benchmark: _checked_counts(row["samples"], row["correct"])
            for benchmark, row in content["answers"].items()
        }
        return Result(**content)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: damaged ({error}); restore it from Git, or remove it and run again"
        ) from error


def _checked_counts(samples: int, correct: list[int]) -> AnswerCounts:
    """Return the counts of a file. Raises ValueError if one is no number of answers."""
    if not all(type(number) is int and 0 <= number <= samples for number in correct):
        raise ValueError(f"correct answers to a question are not all within 0 to {samples}")
    return AnswerCounts(samples, tuple(correct))
