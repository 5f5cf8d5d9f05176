"""Say what the run in this workspace taught: the policy against the base, question by question.

Stage `summary` measures it and writes it to metrics/summary.json; the page, the console and the
README read it from there, so that all show the same numbers and verdicts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from delta.core import paths, tables
from delta.core.errors import InputError
from delta.core.files import read_json
from delta.core.schemas import ANSWER
from delta.core.types import Row
from delta.evaluation.answer_measures import (
    ASKED_FORM,
    CORRECT,
    FINISHED,
    RIGHT_ANY_FORM,
    AnswerMeasures,
    from_percent,
    mean_measures,
    read_measures,
    to_percent,
)
from delta.evaluation.cut_answers import cut_percent, largest, marked, notes
from delta.experiments.results import count_answers
from delta.report.scores import Scores, interval_of
from delta.stats.contrasts import (
    Contrast,
    CorrectCounts,
    Term,
    contrast,
    format_difference,
    group_terms,
    verdict,
)
from delta.stats.intervals import Interval, effective_n_wilson, group_mean

COLUMNS = ["question_id", "finish_reason", "extracted", "outcome", "flexible_outcome"]
LABELS = {
    "finished": "finishes its answer",
    "asked_form": "answers in the asked form",
    "right_any_form": "is right, whatever the form",
    "right_if_finished": "is right where both finish",
    "right_if_asked_form": "is right where both answer in the asked form",
    "correct": "is counted right",
}
# Whether an answer has what the measure counts; null where it cannot be told (code has one form).
EXPRESSIONS = {
    "finished": FINISHED,
    "asked_form": ASKED_FORM,
    "right_any_form": RIGHT_ANY_FORM,
    "correct": CORRECT,
}
# Measures among the answers of which a condition is true: (condition, what is right).
CONDITIONAL = {
    "right_if_finished": (
        FINISHED & pl.col("flexible_outcome").is_not_null(),
        RIGHT_ANY_FORM,
    ),
    "right_if_asked_form": (ASKED_FORM, CORRECT),
}
NUMBERS = ("policy", "judge", "selection", "training")  # what DVC compares
READ_APART = ("score", "cut", "measures")  # fields of Score that are no values of JSON
Answers = Mapping[str, pl.DataFrame]  # benchmark → its rows, with COLUMNS


class Measure(NamedTuple):
    """The fraction of answers of which something is true, over the questions of all benchmarks."""

    name: str  # a key of LABELS
    label: str  # "the model ..."
    questions: int  # all have equal weight
    base: Interval  # fractions
    policy: Interval
    difference: Contrast  # policy - base, paired by question
    verdict: str  # of delta.stats.contrasts.verdict


class Comparison(NamedTuple):
    """The scores of the base and the policy on a benchmark, or their means over a group."""

    benchmark: str | None  # None: the group
    group: str
    questions: int
    base: Interval  # fractions
    policy: Interval
    base_cut: float | None  # percent of the answers cut; a group has the largest; None: not known
    policy_cut: float | None
    difference: Contrast  # policy - base, paired by question
    verdict: str  # of delta.stats.contrasts.verdict
    base_measures: AnswerMeasures = AnswerMeasures()  # of a group: the means of its benchmarks
    policy_measures: AnswerMeasures = AnswerMeasures()


class Score(NamedTuple):
    """The score of an evaluated model on a benchmark."""

    model: str
    benchmark: str
    group: str
    score: Interval  # fractions
    cut: float | None  # percent of the answers; None: not known
    questions: int
    samples: int  # answers a question
    benchmark_version: str
    measures: AnswerMeasures = AnswerMeasures()


class ThisRun(NamedTuple):
    """The content of metrics/summary.json."""

    sentence: str  # what the pairs taught, in one or two sentences
    base: str  # the base's name in `evaluation.models`
    model: str  # the base's name in `models`
    method: str  # dpo, kto or sft
    measures: list[Measure]  # in the order of LABELS, without those that nothing can be said of
    comparisons: list[Comparison]  # the benchmarks of each group, then the group
    scores: list[Score]  # every evaluated model on every benchmark
    numbers: Row  # policy (by group), judge, selection, training: what DVC compares


def read_answers(model: str, benchmarks: list[str]) -> Answers:
    """Read the answers of a model of this workspace. Raises InputError where a file is damaged."""
    return {name: tables.read(paths.answers(model, name), ANSWER, COLUMNS) for name in benchmarks}


def measure_run(base: Answers, policy: Answers) -> list[Measure]:
    """Measure both models. Raises InputError where they were not asked the same questions."""
    for name, answers in policy.items():
        if not answers["question_id"].equals(base[name]["question_id"]):
            raise InputError(
                f"benchmark {name}: the base and the policy were not asked the same questions; "
                "rebuild with `dvc repro`"
            )
    measures = {name: _measure(name, base, policy) for name in EXPRESSIONS}
    for name in CONDITIONAL:
        measures[name] = _measure_if(name, base, policy)
    return [measure for name in LABELS if (measure := measures[name]) is not None]


def _measure(name: str, base: Answers, policy: Answers) -> Measure | None:
    """Return a measure; None where it is null for all answers."""
    counted, answers = [], 0
    for benchmark in policy:
        ours, theirs = (
            count_answers(rows[benchmark], EXPRESSIONS[name]) for rows in (policy, base)
        )
        if ours.correct:
            counted.append(CorrectCounts([ours.correct, theirs.correct], ours.samples))
            answers += len(ours.correct) * ours.samples
    return _pooled(name, LABELS[name], counted, (answers, answers))


def _measure_if(name: str, base: Answers, policy: Answers) -> Measure | None:
    """Return a measure of CONDITIONAL; None where no question has such an answer of both models.

    An answer that was cut has rarely stated its result, so a model that only learns to finish is
    right more often; one that only learns the asked form is counted right more often. These
    measures leave that out: they have the questions to which both models gave such an answer, and
    of these only such answers.
    """
    benchmarks = [_means_if(*CONDITIONAL[name], base[key], policy[key]) for key in policy]
    joined = [means for means in benchmarks if means.height]
    # The answers that a question lost differ in number, so its mean counts as one answer.
    counted = [CorrectCounts([means["right_policy"], means["right"]], 1) for means in joined]
    ours, theirs = (
        sum(int(means[column].sum()) for means in joined)
        for column in ("answers_policy", "answers")
    )
    label = f"{LABELS[name]} ({sum(means.height for means in joined):,})"
    return _pooled(name, label, counted, (ours, theirs))


def _means_if(
    condition: pl.Expr, right: pl.Expr, base: pl.DataFrame, policy: pl.DataFrame
) -> pl.DataFrame:
    """Return question_id, right (mean), answers, right_policy and answers_policy of a benchmark."""
    means, means_policy = (
        rows.filter(condition)
        .group_by("question_id", maintain_order=True)
        .agg(right=right.mean(), answers=pl.len())
        for rows in (base, policy)
    )
    return means.join(means_policy, "question_id", suffix="_policy", maintain_order="left")


def _pooled(
    name: str, label: str, counted: Sequence[CorrectCounts], answers: tuple[int, int]
) -> Measure | None:
    """Return the measure over the questions of all benchmarks; None without questions.

    `counted` has the policy's row, then the base's, of each benchmark; `answers` is the number of
    answers of each.
    """
    if not counted:
        return None
    correct = [np.asarray(counts.correct, dtype=np.float64) for counts in counted]
    questions = sum(rows.shape[1] for rows in correct)
    terms = [
        Term(counts, [rows.shape[1] / questions, -rows.shape[1] / questions])
        for counts, rows in zip(counted, correct, strict=True)
    ]
    means = np.hstack(
        [rows / counts.samples for counts, rows in zip(counted, correct, strict=True)]
    )
    ours, theirs = (
        effective_n_wilson(row.tolist(), number) for row, number in zip(means, answers, strict=True)
    )
    difference = contrast(terms)
    return Measure(name, label, questions, theirs, ours, difference, verdict(difference))


def compare_scores(
    scores: Scores, base: str, policy: str, answers: tuple[Answers, Answers]
) -> list[Comparison]:
    """Compare the scores of both on each benchmark and each group (paper 3.1.2).

    `answers` are those of base and policy.
    """
    before, after = answers
    groups: dict[str, list[str]] = {}
    for name, score in scores[policy].items():
        groups.setdefault(score["group"], []).append(name)
    comparisons = []
    for group, names in groups.items():
        counts = {}
        for name in names:
            ours, theirs = count_answers(after[name]), count_answers(before[name])
            counts[name] = CorrectCounts([ours.correct, theirs.correct], ours.samples)
        for benchmark, members in [*((name, [name]) for name in names), (None, names)]:
            difference = contrast(group_terms([counts[name] for name in members], [1, -1]))
            theirs_, ours_ = (
                group_mean([interval_of(scores[model][name]) for name in members])
                for model in (base, policy)
            )
            base_cut, policy_cut = (
                largest(cut_percent(scores[model][name]) for name in members)
                for model in (base, policy)
            )
            comparisons.append(
                Comparison(
                    benchmark,
                    group,
                    sum(scores[policy][name]["n"] for name in members),
                    theirs_,
                    ours_,
                    base_cut,
                    policy_cut,
                    difference,
                    verdict(difference),
                    *(
                        mean_measures([read_measures(scores[model][name]) for name in members])
                        for model in (base, policy)
                    ),
                )
            )
    return comparisons


def to_markdown(comparisons: Sequence[Comparison]) -> str:
    """Return a table with both scores, their paired difference and a verdict for each benchmark.

    A line below the table explains each mark of a score that rests on cut answers.
    """
    benchmarks = [row for row in comparisons if row.benchmark is not None]
    lines = [
        "| benchmark | group | base | policy | difference (points) | policy against base |",
        "|---|---|---|---|---|---|",
    ]
    for row in benchmarks:
        sides = ((row.base, row.base_cut), (row.policy, row.policy_cut))
        scores = [marked(format_score(score), cut) for score, cut in sides]
        cells = (str(row.benchmark), row.group, *scores, format_difference(row.difference))
        lines.append(f"| {' | '.join([*cells, row.verdict])} |")
    cuts = [cut for row in benchmarks for cut in (row.base_cut, row.policy_cut)]
    return "\n\n".join(["\n".join(lines), *notes(cuts)])


def format_score(score: Interval) -> str:
    """Return "value% [low, high]"."""
    value, low, high = (100 * number for number in score)
    return f"{value:.1f}% [{low:.1f}, {high:.1f}]"


# --- metrics/summary.json, in percent ---


def comparison_row(row: Measure | Comparison) -> Row:
    """Return a row of the lists `measures` and `comparisons`, in percent.

    Four decimals, so that a reader who rounds again gets the digit of the exact number.
    """
    values = row._asdict()
    measures = {
        key: to_percent(value) for key, value in values.items() if isinstance(value, AnswerMeasures)
    }
    names = {key: value for key, value in values.items() if not isinstance(value, tuple)}
    verdict_ = names.pop("verdict")
    intervals = {
        ("base", "base_low", "base_high"): row.base,
        ("policy", "policy_low", "policy_high"): row.policy,
        ("difference", "low", "high"): row.difference[:3],
    }
    numbers = {
        key: round(100 * number, 4)
        for keys, interval in intervals.items()
        for key, number in zip(keys, interval, strict=True)
    }
    p = float(f"{row.difference.p:.3g}")
    return names | numbers | {"p": p, "verdict": verdict_} | measures


def read_summary(path: Path = paths.SUMMARY) -> ThisRun:
    """Read metrics/summary.json. Raises InputError where it is missing, damaged or of old code."""
    content = read_json(path)
    try:
        (run,) = content["run"]
        return ThisRun(
            **run,
            measures=[
                Measure(
                    row["name"],
                    row["label"],
                    row["questions"],
                    *_read_scores(row),
                    *_read_difference(row),
                )
                for row in content["measures"]
            ],
            comparisons=read_comparisons(content["comparisons"]),
            scores=read_score_list(content["scores"]),
            numbers={name: content[name] for name in NUMBERS},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: of another version; rebuild with `dvc repro summary`") from error


def read_comparisons(rows: Sequence[Row]) -> list[Comparison]:
    """Return the list `comparisons` typed, in fractions."""
    return [
        Comparison(
            row["benchmark"],
            row["group"],
            row["questions"],
            *_read_scores(row),
            row.get("base_cut"),
            row.get("policy_cut"),
            *_read_difference(row),
            *(from_percent(row.get(key)) for key in ("base_measures", "policy_measures")),
        )
        for row in rows
    ]


def read_score_list(rows: Sequence[Row]) -> list[Score]:
    """Return the list `scores` typed, in fractions."""
    return [
        Score(
            **{name: row[name] for name in Score._fields if name in row and name not in READ_APART},
            score=_fractions(row, "score", "low", "high"),
            cut=row.get("cut"),
            measures=from_percent(row.get("measures")),
        )
        for row in rows
    ]


def _read_scores(row: Row) -> tuple[Interval, Interval]:
    base, policy = (
        _fractions(row, name, f"{name}_low", f"{name}_high") for name in ("base", "policy")
    )
    return base, policy


def _read_difference(row: Row) -> tuple[Contrast, str]:
    return Contrast(*_fractions(row, "difference", "low", "high"), row["p"]), row["verdict"]


def _fractions(row: Row, *keys: str) -> Interval:
    return Interval(*(row[key] / 100 for key in keys))
