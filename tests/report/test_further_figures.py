"""Seeds are one value with pooled noise; equal pairs are one row; each further figure is drawn."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from delta.experiments.results import AnswerCounts, Result
from delta.report.context import ReportContext, Run
from delta.report.equal_pairs import merge_equal
from delta.report.figures import further, further_figures
from delta.report.figures.values import Values
from tests.helpers.toy_results import QUESTIONS, model_scores, toy_context


def run(axes: dict[str, str], correct: int, policy: str | None = None, **selection: Any) -> Run:
    """Return a run that answers the easiest questions, with these counts of stage select."""
    scores = model_scores(correct)
    key = "-".join([*axes.values(), str(correct)])
    changes = {"train.seed": axes.get("seed")}
    counts = {"select": selection}
    result = Result(key, key, changes, "c", "d", None, counts, scores.scores, scores.answers)
    return Run(axes, result, None, policy)


def context_of(name: str, runs: list[Run]) -> ReportContext:
    return replace(toy_context({"base": 20}), experiments={name: runs})


def seeds(axes: dict[str, str], *correct: int, **selection: Any) -> list[Run]:
    return [
        run(axes | {"seed": str(number)}, right, **selection)
        for number, right in enumerate(correct, 1)
    ]


def test_the_gain_of_three_seeds_is_that_of_their_mean() -> None:
    runs = seeds({"quintile": "1"}, 22, 24, 26, mean_delta_selected=0.5)
    (row,) = further.dose_rows(Values(context_of("dose", runs)))
    assert (row["gain"], row["seeds"], row["mean_delta_selected"]) == (10.0, 3, 0.5)
    assert row["low"] < 10 < row["high"]


def test_the_noise_of_seeds_is_that_of_all_configurations() -> None:
    calm = seeds({"quintile": "1"}, 24, 24, 24)
    wild = seeds({"quintile": "2"}, 12, 24, 36)
    alone = further.dose_rows(Values(context_of("dose", calm)))[0]
    beside = further.dose_rows(Values(context_of("dose", calm + wild)))[0]
    assert beside["gain"] == alone["gain"] == 10.0
    assert beside["high"] - beside["low"] > 2 * (alone["high"] - alone["low"])


def test_without_seeds_the_interval_is_for_other_questions_alone() -> None:
    (row,) = further.dose_rows(Values(context_of("dose", [run({"quintile": "1"}, 24)])))
    assert (row["gain"], row["seeds"]) == (10.0, 1)
    assert row["low"] < 10 < row["high"]


def test_a_configuration_with_a_missing_seed_has_no_gain() -> None:
    runs = [*seeds({"quintile": "1"}, 22, 24), Run({"quintile": "1", "seed": "3"}, None)]
    (row,) = further.dose_rows(Values(context_of("dose", runs)))
    assert (row["gain"], row["low"], row["cut"], row["seeds"]) == (None, None, None, 3)


def test_configurations_on_equal_pairs_are_one_row_under_both_names() -> None:
    by = {name: {"by": name, "k": "8"} for name in ("facts", "steps", "signal")}
    groups = [
        [run(axes | {"seed": seed}, 24, policy=f"{pairs} {seed}") for seed in "12"]
        for axes, pairs in zip(by.values(), ("ab", "cd", "ab"), strict=True)
    ]
    merged = merge_equal(groups)
    assert [[one.axes for one in group] for group in merged] == [
        [{"by": "facts = signal", "k": "8", "seed": seed} for seed in "12"],
        [{"by": "steps", "k": "8", "seed": seed} for seed in "12"],
    ]
    assert groups[0][0].axes["by"] == "facts"  # the runs themselves keep their names


def test_runs_that_do_not_record_their_pairs_or_have_not_run_equal_no_other() -> None:
    groups = [[run({"by": name}, 24)] for name in "ab"] + [[Run({"by": "c"}, None)]]
    assert merge_equal(groups) == groups
    known = [[run({"by": "a"}, 24, policy="x")], [run({"by": "b"}, 24, policy="x")]]
    half = [known[0], [known[1][0], Run({"by": "b", "seed": "2"}, None)]]
    assert merge_equal(half) == half


def test_outcome_quality_has_the_ratings_of_both_sides_over_all_dimensions() -> None:
    ratings = {"chosen": {"facts": 4.0, "steps": 5.0}, "rejected": {"facts": 2.0, "steps": 2.5}}
    deltas = {"facts": 2.0, "steps": 2.5}
    runs = [
        run({"pairs": "correct-incorrect"}, 24, mean_rating_selected=ratings, mean_delta=deltas),
        run({"pairs": "correct-correct"}, 22),
    ]
    rows = further.outcome_quality_rows(Values(context_of("figure-3", runs)))
    columns = ("chosen_rating", "rejected_rating", "mean_delta")
    assert [tuple(row[name] for name in columns) for row in rows] == [
        (4.5, 2.25, 2.25),
        (None, None, None),
    ]


AXES: dict[str, list[dict[str, str]]] = {
    "gap-by-delta": [
        {"gap": gap, "delta": delta} for gap in ("small", "large") for delta in ("bottom", "top")
    ],
    "dose": [{"quintile": str(number)} for number in range(1, 6)],
    "outcome-matched": [{"mode": mode} for mode in ("random", "top")],
    "outcome-quality": [{"pairs": pairs} for pairs in ("correct-incorrect", "correct-correct")],
}


@pytest.mark.parametrize("name", AXES)
def test_every_further_figure_is_drawn_also_where_a_run_is_missing(
    name: str, tmp_path: Path
) -> None:
    experiment = further.FURTHER_ROWS[name].experiment
    first, *others = AXES[name]
    ratings = {"chosen": {"facts": 4.0}, "rejected": {"facts": 2.0}}
    runs = seeds(first, 22, 24, mean_delta_selected=0.5, mean_rating_selected=ratings)
    runs += [Run(axes | {"seed": "1"}, None) for axes in others]
    context = context_of(experiment, runs)
    rows: dict[str, Any] = {key: [] for key in AXES}
    rows[name] = further.FURTHER_ROWS[name].rows(Values(context))
    titles = further_figures.draw_all(rows, "base", tmp_path)
    assert list(titles) == [name]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.png", f"{name}.svg"]
    assert "gain over base (points)" in (tmp_path / f"{name}.svg").read_text(encoding="utf-8")


def test_toy_answers_are_those_of_the_easiest_questions() -> None:
    assert model_scores(24).answers["sums"] == AnswerCounts(1, (1,) * 24 + (0,) * (QUESTIONS - 24))
