"""Tabulate the runs of one experiment: parameters, pairs, scores, differences from the base."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from delta.evaluation.answer_measures import (
    AnswerMeasures,
    mean_measures,
    read_measures,
    right_less_often_if_asked,
)
from delta.evaluation.cut_answers import marked, notes
from delta.experiments.results import Result
from delta.report.claims.contrast import correct_counts, largest_cut
from delta.report.context import Run
from delta.report.equal_pairs import merge_equal
from delta.report.this_run import format_score
from delta.report.training_facts import MIN_SERVED, NOT_RECORDED, TrainingFacts, facts, is_recorded
from delta.stats.contrasts import BETTER, Contrast, format_difference, verdict
from delta.stats.intervals import Interval
from delta.stats.seeds import SeedScore, contrast_with_seeds, score_with_seeds

TRAINING_COLUMNS = [
    "training",
    "first margin (nats)",
    "update served",
    "change of log p, chosen and rejected (nats)",
    "KL from the base (nats a token)",
    "margin against delta",
]
ROUNDED_AWAY = (
    f"* Less than {MIN_SERVED:.0%} of the update is left in the dtype that serves the policy, so "
    "the score is not that of what was trained."
)


class GroupScore(NamedTuple):
    """The mean score over a group's benchmarks (paper 3.1.2), in fractions."""

    score: SeedScore  # between_seeds is the standard deviation over seeds; None for one run
    difference: Contrast | None  # from the base, paired by question; None: see experiment_rows
    cut: float | None  # percent of cut answers, the largest of its benchmarks and runs
    difference_cut: float | None  # the same with the base's
    measures: AnswerMeasures  # means over benchmarks and runs
    base_measures: AnswerMeasures | None  # None where it was asked other questions


class ExperimentRow(NamedTuple):
    """One run, or the mean over runs that differ only in their seeds."""

    axes: dict[str, str]  # axis → entry; a seed axis of a mean has "mean of 3"
    runs: int  # 1, or the number of seeds of a mean
    pairs: int | None  # selected; None where it has not run, or seeds selected different numbers
    groups: dict[str, GroupScore] | None  # those of which all benchmarks were asked; None: not run
    training: TrainingFacts | None  # of one run; None for a mean, and where nothing is recorded


def experiment_rows(
    runs: Sequence[Run],
    seed_axes: Collection[str],
    groups: dict[str, str],
    base: Run | None,
) -> list[ExperimentRow]:
    """Return a row for each run, and after the seeds of a configuration the mean of those done.

    Configurations that train on equal pairs are one, whose entries name both.
    `groups` has the group of each benchmark, and `base` the answers of the base; None if there are
    none: then nothing has a difference. Nor has a run that was asked other questions than the base.
    """
    configurations: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        key = tuple(entry for axis, entry in run.axes.items() if axis not in seed_axes)
        configurations.setdefault(key, []).append(run)
    rows = []
    for configuration in merge_equal(list(configurations.values())):
        rows += [_row(run.axes, [run], groups, base) for run in configuration]
        done = [run for run in configuration if run.result is not None]
        if len(done) > 1:
            mean = dict.fromkeys(seed_axes, f"mean of {len(done)}")
            rows.append(_row(done[0].axes | mean, done, groups, base))
    return rows


def _row(
    axes: dict[str, str], runs: list[Run], groups: dict[str, str], base: Run | None
) -> ExperimentRow:
    if any(run.result is None for run in runs):
        return ExperimentRow(axes, len(runs), None, None, None)
    results = [run.result for run in runs if isinstance(run.result, Result)]
    selected = {result.counts.get("select", {}).get("selected") for result in results}
    scores = {}
    for group in dict.fromkeys(groups.values()):
        names = [name for name, other in groups.items() if other == group]
        if all(name in result.answers for result in results for name in names):
            scores[group] = _group_score(runs, names, base)
    pairs = selected.pop() if len(selected) == 1 else None
    return ExperimentRow(axes, len(runs), pairs, scores, _training(runs))


def _training(runs: list[Run]) -> TrainingFacts | None:
    (result, settings), *others = ((run.result, run.training) for run in runs)
    if others or settings is None or not isinstance(result, Result):
        return None
    counts = result.counts.get("train", {})
    return facts(counts, settings) if is_recorded(counts) else None


def _group_score(runs: list[Run], benchmarks: list[str], base: Run | None) -> GroupScore:
    ours = [correct_counts(runs, name) for name in benchmarks]
    score = score_with_seeds(ours)
    cut = largest_cut(runs, benchmarks)
    measures = _measures(runs, benchmarks)
    if base is None or not all(_have_same_questions([*runs, base], name) for name in benchmarks):
        return GroupScore(score, None, cut, cut, measures, None)
    theirs = [correct_counts([base], name) for name in benchmarks]
    difference = contrast_with_seeds([ours, theirs], [1, -1])
    difference_cut = largest_cut([*runs, base], benchmarks)
    return GroupScore(
        score, difference, cut, difference_cut, measures, _measures([base], benchmarks)
    )


def _measures(runs: list[Run], benchmarks: list[str]) -> AnswerMeasures:
    results = [run.result for run in runs if run.result is not None]
    return mean_measures(
        [read_measures(result.scores[name]) for result in results for name in benchmarks]
    )


def is_right_less_often_in_form(group: GroupScore) -> bool:
    """Return whether the score rose, by its verdict, and what is right in the asked form fell."""
    if group.difference is None or group.base_measures is None:
        return False
    fell = right_less_often_if_asked(group.base_measures, group.measures)
    return fell and verdict(group.difference) == BETTER


def _have_same_questions(runs: list[Run], benchmark: str) -> bool:
    """Return whether all were asked the same questions of a benchmark, each equally often."""
    questions = set()
    for run in runs:
        if run.result is not None:
            answers = run.result.answers[benchmark]
            version = run.result.scores[benchmark].get("benchmark_version")
            questions.add((version, answers.samples, len(answers.correct)))
    return len(questions) == 1


def to_markdown(rows: Sequence[ExperimentRow]) -> str:
    """Return a table: axes, pairs, and for each group the score and the difference from the base.

    Where a training recorded how it ended, its first margin or the share of the update that is
    served, these have columns too. A mean also has the standard deviation (SD) over its seeds, in
    points. Lines below the table explain its marks.
    """
    done = dict.fromkeys(group for row in rows for group in row.groups or ())
    axes = list(rows[0].axes)
    columns = [
        *axes,
        "pairs",
        *(f"{group}{end}" for group in done for end in ("", " − base (points)")),
    ]
    trained = any(row.training for row in rows)
    columns += TRAINING_COLUMNS if trained else []
    if not done:
        columns.append("scores")
    lines = [columns, ["---"] * len(columns)]
    for row in rows:
        if row.groups is None:
            rest = ["–", "not run"]
        else:
            pairs = "–" if row.pairs is None else f"{row.pairs:,}"
            scores = [row.groups.get(group) for group in done]
            rest = [pairs, *(cell for score in scores for cell in _cells(score))]
            rest += training_cells(row) if trained else []
        cells = [*row.axes.values(), *rest]
        lines.append(cells + [""] * (len(columns) - len(cells)))
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    rounded = any(row.training and row.training.is_rounded_away for row in rows)
    return "\n\n".join([table, *notes(cuts(rows)), *([ROUNDED_AWAY] if rounded else [])])


def training_cells(row: ExperimentRow) -> list[str]:
    """Return the cells of TRAINING_COLUMNS; dashes for a mean, and for a run that has not run."""
    if row.runs > 1 or row.groups is None:
        return ["–"] * len(TRAINING_COLUMNS)
    if row.training is None:
        return [NOT_RECORDED] * len(TRAINING_COLUMNS)
    end, margin, served, *against_base, is_rounded_away = row.training
    return [end, margin, f"{served} *" if is_rounded_away else served, *map(str, against_base)]


def cuts(rows: Iterable[ExperimentRow]) -> list[float | None]:
    """Return the shares of cut answers of all numbers of a table."""
    groups = [group for row in rows for group in (row.groups or {}).values()]
    return [cut for group in groups for cut in (group.cut, group.difference_cut)]


def _cells(group: GroupScore | None) -> tuple[str, str]:
    if group is None:
        return "–", "–"
    score = group.score
    text = format_score(Interval(*score[:3]))
    if score.between_seeds is not None:
        text += f", SD {100 * score.between_seeds:.1f}"
    text = marked(text, group.cut)
    if group.difference is None:
        return text, "–"
    return text, marked(format_difference(group.difference), group.difference_cut)
