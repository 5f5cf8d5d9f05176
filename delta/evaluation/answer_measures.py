"""Measure answers beside their score: their form, their length, and what is right in them.

A policy that only learns to write its answer in the asked form has a higher score although it
calculates no better. These measures tell the two apart.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from delta.core.types import Row
from delta.evaluation.cut_answers import cut_percent

# Conditions on a row of ANSWER; null where an answer cannot meet them (code has one form).
FINISHED = pl.col("finish_reason") == "stop"
ASKED_FORM = pl.col("extracted").is_not_null()  # the grader found a box, a letter or a program
RIGHT_ANY_FORM = pl.col("flexible_outcome") == "correct"
CORRECT = pl.col("outcome") == "correct"


class AnswerMeasures(NamedTuple):
    """Fractions of the answers to a benchmark, and tokens; the means over a group's benchmarks.

    None: not known, as in older results, or there is no such answer.
    """

    asked_form: float | None = None  # the grader found an answer in the asked form
    right_if_asked_form: float | None = None  # of those
    right_any_form: float | None = None  # by the last number or letter, whatever the form
    mean_tokens: float | None = None  # of an answer, with its reasoning
    cut: float | None = None  # at the token limit


SHARES = tuple(name for name in AnswerMeasures._fields if name != "mean_tokens")


def measure_answers(answers: pl.DataFrame) -> Row:
    """Return the measures of one benchmark's answers (ANSWER), as its score has them.

    The share of cut answers follows from `truncated`, which the score has already.
    """
    (row,) = answers.select(
        asked_form=ASKED_FORM.mean(),
        right_if_asked_form=CORRECT.filter(ASKED_FORM).mean(),
        right_any_form=RIGHT_ANY_FORM.mean(),
        mean_tokens=pl.col("completion_tokens").mean(),
    ).to_dicts()
    digits = {"mean_tokens": 2}
    return {
        name: None if value is None else round(value, digits.get(name, 6))
        for name, value in row.items()
    }


def read_measures(score: Mapping[str, Any]) -> AnswerMeasures:
    """Return the measures of a score of data/counts/evaluate or of an experiment's result."""
    cut = cut_percent(score)
    known = {name: score.get(name) for name in AnswerMeasures._fields if name != "cut"}
    return AnswerMeasures(**known, cut=None if cut is None else cut / 100)


def mean_measures(every: Sequence[AnswerMeasures]) -> AnswerMeasures:
    """Return the means, all with equal weight; None where one of them is not known."""
    columns = zip(*every, strict=True)
    return AnswerMeasures(
        *(None if None in column else sum(column) / len(column) for column in columns)
    )


def to_percent(measures: AnswerMeasures) -> Row:
    """Return a row of metrics/summary.json: shares in percent, with four decimals."""
    return {
        name: None if value is None else round(value * (100 if name in SHARES else 1), 4)
        for name, value in measures._asdict().items()
    }


def from_percent(row: Mapping[str, Any] | None) -> AnswerMeasures:
    """Return the measures of such a row; None, as in older summaries: nothing is known."""
    return AnswerMeasures(
        **{
            name: value / 100 if name in SHARES and value is not None else value
            for name, value in (row or {}).items()
        }
    )


def right_less_often_if_asked(before: AnswerMeasures, after: AnswerMeasures) -> bool:
    """Return whether fewer of the answers in the asked form are right after a training."""
    ours, theirs = after.right_if_asked_form, before.right_if_asked_form
    return ours is not None and theirs is not None and ours < theirs
