"""The table of one experiment, on toy runs that a person can count."""

from dataclasses import replace
from typing import Any

import pytest

from delta.experiments.grid import ExperimentParams, seed_axes
from delta.experiments.results import AnswerCounts, Result
from delta.report.context import ModelScores, Run
from delta.report.experiment_table import TRAINING_COLUMNS, experiment_rows, to_markdown
from delta.report.training_facts import TrainingSettings

GROUPS = {"sums": "easy", "products": "easy", "stem": "stem"}
QUESTIONS = 20


def answers(correct: int) -> dict[str, AnswerCounts]:
    """Return so many correct answers to sums, half to products, none to stem."""
    counts = {"sums": correct, "products": correct // 2, "stem": 0}
    return {
        name: AnswerCounts(1, (1,) * number + (0,) * (QUESTIONS - number))
        for name, number in counts.items()
    }


def scores(version: str = "1", cut: int = 0) -> dict[str, dict[str, Any]]:
    """Return the counts of each benchmark; `cut` answers to sums were cut."""
    counts = {"benchmark_version": version, "n": QUESTIONS, "samples": 1}
    return {name: counts | {"truncated": cut if name == "sums" else 0} for name in GROUPS}


def result(correct: int, pairs: int) -> Result:
    counts: dict[str, dict[str, Any]] = {"select": {"selected": pairs}}
    return Result("k", "n", {}, "c", "2026-11-30", None, counts, scores(), answers(correct))


BASE = Run({}, ModelScores(scores(), answers(0)))
RUNS = [
    Run({"k": "4", "seed": "1"}, result(4, 4)),
    Run({"k": "4", "seed": "2"}, result(12, 4)),
    Run({"k": "4", "seed": "3"}, None),
    Run({"k": "8", "seed": "1"}, result(20, 8)),
    Run({"k": "8", "seed": "2"}, None),
]


def test_each_run_has_a_row_and_several_seeds_their_mean() -> None:
    rows = experiment_rows(RUNS, ["seed"], GROUPS, BASE)
    assert [(row.axes["k"], row.axes["seed"], row.pairs, row.runs) for row in rows] == [
        ("4", "1", 4, 1),
        ("4", "2", 4, 1),
        ("4", "3", None, 1),
        ("4", "mean of 2", 4, 2),
        ("8", "1", 8, 1),
        ("8", "2", None, 1),
    ]
    assert rows[2].groups is None
    easy = [row.groups["easy"] for row in rows if row.groups]
    # The mean of sums and products: (4 + 2) / 40, (12 + 6) / 40, their mean, (20 + 10) / 40.
    assert [group.score.value for group in easy] == pytest.approx([0.15, 0.45, 0.3, 0.75])
    differences = [group.difference.value for group in easy if group.difference]
    assert differences == pytest.approx([0.15, 0.45, 0.3, 0.75])  # the base has none right
    # The deviation of 15 and 45 from their mean is 15 each: the variance 2 × 15² / 1.
    assert [group.score.between_seeds for group in easy] == [
        None,
        None,
        pytest.approx(0.15 * 2**0.5),
        None,
    ]


def test_the_table_marks_what_has_not_run() -> None:
    lines = to_markdown(experiment_rows(RUNS, ["seed"], GROUPS, BASE)).split("\n")
    assert lines[0] == (
        "| k | seed | pairs | easy | easy − base (points) | stem | stem − base (points) |"
    )
    assert lines[2].startswith("| 4 | 1 | 4 | 15.0% [")
    assert lines[4] == "| 4 | 3 | – | not run |  |  |  |"
    assert "], SD 21.2 | +30.0 [" in lines[5]


def test_without_answers_of_the_base_there_are_no_differences() -> None:
    (row,) = experiment_rows(RUNS[:1], ["seed"], GROUPS, None)
    assert row.groups is not None
    assert row.groups["easy"].difference is None
    assert "] | – | 0.0% [" in to_markdown([row])


def test_an_experiment_that_has_not_run_is_a_table_too() -> None:
    lines = to_markdown(experiment_rows([RUNS[2]], ["seed"], GROUPS, BASE)).split("\n")
    assert lines == [
        "| k | seed | pairs | scores |",
        "| --- | --- | --- | --- |",
        "| 4 | 3 | – | not run |",
    ]


@pytest.mark.parametrize(("version", "questions"), [("1", 7), ("2", QUESTIONS)])
def test_from_a_base_with_other_questions_there_is_no_difference(
    version: str, questions: int
) -> None:
    other = {name: AnswerCounts(1, (0,) * questions) for name in GROUPS}
    base = Run({}, ModelScores(scores(version), other))
    (row,) = experiment_rows(RUNS[:1], ["seed"], GROUPS, base)
    assert row.groups is not None
    assert [group.difference for group in row.groups.values()] == [None, None]
    assert row.groups["easy"].score.value == pytest.approx(0.15)


def test_a_group_that_a_run_was_not_asked_has_no_score() -> None:
    groups = GROUPS | {"programs": "code", "more": "easy"}
    rows = experiment_rows(RUNS[:1], ["seed"], groups, BASE)
    assert rows[0].groups is not None
    assert list(rows[0].groups) == ["stem"]
    whole = experiment_rows(RUNS[3:4], ["seed"], GROUPS, BASE)
    assert to_markdown(rows + whole).split("\n")[2].startswith("| 4 | 1 | 4 | 0.0% [")
    assert to_markdown(whole + rows).split("\n")[3].startswith("| 4 | 1 | 4 | – | – | 0.0% [")


def test_a_score_and_its_difference_are_marked_where_answers_were_cut() -> None:
    base = Run({}, ModelScores(scores(cut=2), answers(0)))  # 2 of 20: 10%
    rows = experiment_rows(RUNS[:1], ["seed"], GROUPS, base)
    assert rows[0].groups is not None
    easy, stem = rows[0].groups["easy"], rows[0].groups["stem"]
    assert (easy.cut, easy.difference_cut) == (0.0, 10.0)
    assert (stem.cut, stem.difference_cut) == (0.0, 0.0)
    table, note = to_markdown(rows).split("\n\n")
    assert table.count("†") == 1
    assert "] | +15.0 [" in table
    assert note.startswith("† More than 5% of the answers behind this number were cut")


def test_where_a_result_lacks_the_count_it_is_not_known_rather_than_none() -> None:
    old = replace(result(4, 4), scores={name: {"benchmark_version": "1"} for name in GROUPS})
    rows = experiment_rows([Run({"k": "4"}, old)], [], GROUPS, BASE)
    table, note = to_markdown(rows).split("\n\n")
    assert table.count("‡") == 4  # two groups, each with score and difference
    assert note.startswith("‡ It is not known")


def test_how_a_training_ended_and_what_is_served_have_columns_where_they_are_recorded() -> None:
    settings = TrainingSettings("dpo", has_stopping_rule=True, dtype="bfloat16")
    new = result(4, 4)
    new.counts["train"] = {
        "steps": 120,
        "max_steps": 250,
        "converged_at": 120,
        "first_margin": {"mean": 0.0021, "sd": 0.11, "rows": 64},
        "update_served": {"float32": 1.0, "bfloat16": 0.004},
        "policy_against_base": {
            "chosen": {"change": 1.5},
            "rejected": {"change": -3.0},
            "kl_per_token": 0.0123,
            "margins": [0.5],
            "deltas": [2.0],
        },
    }
    axes = [{"k": "4", "seed": seed} for seed in ("1", "2", "3")]
    runs = [Run(axes[0], new, settings), Run(axes[1], result(6, 4), settings), Run(axes[2], None)]
    rows = experiment_rows(runs, ["seed"], GROUPS, BASE)
    table, note = to_markdown(rows).split("\n\n")
    lines = table.split("\n")
    assert lines[0].endswith(f" | {' | '.join(TRAINING_COLUMNS)} |")
    recorded = ["converged at 120", "+0.002 (SD 0.110)", "0.4% *", "+1.50, -3.00", "0.0123"]
    assert lines[2].endswith(f" | {' | '.join([*recorded, 'not known'])} |")
    assert lines[3].endswith(" | not recorded" * 6 + " |")
    assert lines[4].startswith("| 4 | 3 | – | not run |")
    assert lines[5].endswith(" | –" * 6 + " |")  # the mean of two seeds
    assert len({line.count("|") for line in lines}) == 1
    assert note.startswith("* Less than 90% of the update is left in the dtype that serves")


@pytest.mark.parametrize(
    ("vary", "axes"),
    [
        ({"k": {"4": {"selector.k": 4}}}, []),
        ({"k": {"4": {"selector.k": 4}}, "s": {"a": {"train.seed": 1}}}, ["s"]),
        ({"s": {"a": {"train.seed": 1, "selector.seed": 1}, "b": {"train.seed": 2}}}, ["s"]),
        ({"s": {"a": {"train.seed": 1}, "b": {"selector.k": 2}}}, []),
        ({"s": {"a": {}, "b": {"train.seed": 2}}}, []),
    ],
)
def test_an_axis_of_nothing_but_seeds_is_repeated(vary: dict[str, Any], axes: list[str]) -> None:
    assert seed_axes(ExperimentParams(always={}, vary=vary)) == axes
