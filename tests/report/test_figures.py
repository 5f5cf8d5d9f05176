"""The rows and pictures of the paper's figures, also where runs are missing."""

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from delta.core.types import Row
from delta.experiments.results import Result
from delta.report.context import ReportContext, Run
from delta.report.figures import data, further_figures, panels, paper
from delta.report.figures.style import DASHES, HATCHES, MARKERS
from delta.report.figures.svg import SERIES
from delta.report.figures.values import Values
from tests.helpers.paper_results import REAL_SIZES, paper_context
from tests.helpers.toy_results import model_scores, toy_context


@pytest.fixture(scope="module")
def context() -> ReportContext:
    return paper_context(REAL_SIZES)


def test_rows_are_in_percent_and_in_the_profiles_order(context: ReportContext) -> None:
    rows = data.figure_1_rows(Values(context))
    assert [(row["domain"], row["method"], row["pairs"]) for row in rows][:3] == [
        ("easy", "sft", "weak"),
        ("easy", "sft", "strong"),
        ("easy", "dpo", "weak"),
    ]
    # With 40 and with 500 questions a gain of -4 is exact only to a question.
    assert rows[0]["gain"] == pytest.approx(-4.0, abs=0.2)
    assert rows[0]["low"] < -4.0 < rows[0]["high"]
    assert {row["seeds"] for row in rows} == {3}


def test_figure_4_ends_with_all_pairs_and_has_random_pairs_as_a_sixth_dimension(
    context: ReportContext,
) -> None:
    full = [run for run in context.runs("figure-2") if run.axes["chosen"] == context.chosen]
    full = [Run({"seed": run.axes["seed"]}, run.result) for run in full[:3]]  # by DPO
    context = replace(context, experiments=context.experiments | {"full": full})
    hard = [row for row in data.figure_4_rows(Values(context)) if row["domain"] == "hard"]
    assert [row["k"] for row in hard if row["by"] == "factuality"] == [
        "1000",
        "2500",
        "5000",
        "all",
    ]
    assert [row["k"] for row in hard if row["by"] == "random"] == ["1000", "2500", "5000"]
    assert {row["score"] for row in hard if row["k"] == "all"} == {60.01}
    assert {row["base"] for row in hard} == {56.45}


def test_seeds_are_one_row_with_their_standard_deviation(context: ReportContext) -> None:
    rows = [row for row in data.control_rows(Values(context)) if row["control"] == "random"]
    assert [(row["domain"], row["k"], row["seeds"]) for row in rows] == [
        (domain, k, 3)
        for domain in ("easy", "hard", "stem", "code")
        for k in ("1000", "2500", "5000")
    ]
    assert all(row["spread"] > 0 for row in rows)


def test_a_missing_run_is_counted_and_has_no_score(context: ReportContext) -> None:
    runs = [
        Run(run.axes, None) if place < 3 else run
        for place, run in enumerate(context.runs("figure-2"))
    ]
    fewer = replace(context, experiments=context.experiments | {"figure-2": runs})
    assert fewer.count_missing(["figure-2"]) == (3, 36)
    easy = [row for row in data.build_rows(fewer)["figure-2"] if row["domain"] == "easy"]
    assert [row["score"] is None for row in easy] == [True] + [False] * 11
    assert easy[0]["low"] is None
    assert easy[0]["base"] is not None


def test_figure_3_has_the_mean_delta_of_each_set_of_pairs() -> None:
    context = toy_context({"base": 8})
    deltas = {
        "correct-incorrect": ({"factuality": 1.5, "step_coherence": 0.5}, 0),
        "correct-correct": ({"factuality": None, "step_coherence": 0.5}, 12),
    }
    runs = []
    for pairs, (means, without) in deltas.items():
        scores = model_scores(12)
        counts = {"select": {"mean_delta": means, "without_delta": without}}
        result = Result("k", "n", {}, "c", "d", None, counts, scores.scores, scores.answers)
        runs.append(Run({"pairs": pairs}, result))
    context = replace(context, experiments={"figure-3": [*runs, Run({"pairs": "other"}, None)]})
    rows = data.build_rows(context)["figure-3"]
    assert [(row["pairs"], row["mean_delta"], row["without_delta"]) for row in rows] == [
        ("correct-incorrect", 1.0, 0),
        ("correct-correct", None, 12),  # no pair was rated in factuality
        ("other", None, None),
    ]


def test_a_score_of_cut_answers_is_marked_in_the_rows_and_in_the_picture(tmp_path: Path) -> None:
    context = toy_context({"base": 8, "weak": 12, "strong": 20})
    run = context.runs("figure-1")[-1]
    assert run.result is not None
    run.result.scores["sums"]["truncated"] = 4  # of 40: 10%
    runs = [Run({"method": "dpo"} | run.axes, run.result) for run in context.runs("figure-1")]
    context = replace(context, experiments={"figure-1": runs})
    rows = data.build_rows(context)
    assert [row["cut"] for row in rows["figure-1"]] == [0.0, 10.0]
    assert [row["cut"] for row in rows["table-2"]] == [0.0]
    paper.draw_all(rows, "base", tmp_path)
    picture = (tmp_path / "figure-1.svg").read_text(encoding="utf-8")
    assert picture.count("†") == 2  # the bar, and the legend
    assert "† over 5% of answers cut" in picture


@pytest.mark.slow
def test_equal_rows_give_equal_files(context: ReportContext, tmp_path: Path) -> None:
    rows = data.build_rows(context)
    for folder in ("first", "second"):
        paper.draw_all(rows, "base", tmp_path / folder)
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == [f"figure-{n}.{kind}" for n in range(1, 6) for kind in ("png", "svg")]
    for name in files:
        first, second = (tmp_path / folder / name for folder in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


def test_a_figure_without_any_result_has_no_rows_and_is_not_drawn(
    context: ReportContext, tmp_path: Path
) -> None:
    runs = {
        name: [Run(run.axes, None) for run in runs] for name, runs in context.experiments.items()
    }
    rows = data.build_rows(replace(context, experiments=runs, overlaps=[]))
    empty: dict[str, list[Row]] = {name: [] for name in (*context.figures(), "controls")}
    assert {name: content for name, content in rows.items() if not content} == empty
    assert paper.draw_all(rows, "base", tmp_path) == {}
    assert further_figures.draw_all(rows, "base", tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_series_differ_without_colour() -> None:
    for styles in (SERIES, MARKERS, DASHES, HATCHES):
        assert len(set(styles)) == 5


def test_numbers_on_the_heat_map_have_a_contrast_of_4_5() -> None:
    """WCAG asks for it; tested at both ends, in the middle and around the change of tone."""
    for fraction in (0.0, 0.25, 0.5, 0.74, 0.75, 1.0):
        tone = paper.ON_DARK if fraction > paper.DARK_FROM else paper.ON_LIGHT
        cell = luminance(paper.HEAT(fraction)[:3])
        text = luminance(tuple(int(tone[place : place + 2], 16) / 255 for place in (1, 3, 5)))
        lighter, darker = max(cell, text), min(cell, text)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, fraction


def luminance(colour: tuple[float, ...]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([(0, 10), (5, 20)], [(-0.8, 21.2), (-0.8, 21.2)]),
        ([(0, 10), (80, 90)], [(-0.8, 10.8), (79.2, 90.8)]),
        ([(0, 5), (80, 90)], [(-3.3, 8.3), (79.2, 90.8)]),
    ],
)
def test_panels_share_their_scale(
    values: list[tuple[float, float]], expected: list[tuple[float, float]]
) -> None:
    figure = Figure()
    axes = list(figure.subplots(1, 2))
    for panel, ends in zip(axes, values, strict=True):
        panel.plot([0, 1], ends)
    panels.share_scale(axes)
    for panel, ends in zip(axes, expected, strict=True):
        assert panel.get_ylim() == pytest.approx(ends)
