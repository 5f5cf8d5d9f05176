"""The paper's figures: what is drawn, and what is left out because it has not run."""

from dataclasses import replace
from pathlib import Path

import pytest

from delta.report import html
from delta.report.context import Cell, ReportContext
from delta.report.figures import data, paper
from delta.report.figures.style import DASHES, HATCHES, MARKERS, SERIES
from tests.helpers.paper_results import REAL_SIZES, paper_world
from tests.helpers.toy_results import toy_world


@pytest.fixture(scope="module")
def world() -> ReportContext:
    return paper_world(REAL_SIZES)


def test_rows_are_in_percent_and_in_the_profiles_order(world: ReportContext) -> None:
    found = data.figure_1(world)
    assert [(row["domain"], row["method"], row["pairs"]) for row in found][:3] == [
        ("easy", "sft", "weak"),
        ("easy", "sft", "strong"),
        ("easy", "dpo", "weak"),
    ]
    # Of 40 and of 500 questions the gain of −4 comes out only to a question.
    assert found[0]["gain"] == pytest.approx(-4.0, abs=0.2)
    assert found[0]["low"] < -4.0 < found[0]["high"]


def test_figure_4_ends_with_all_pairs_and_has_random_ones_as_a_sixth_dimension(
    world: ReportContext,
) -> None:
    hard = [row for row in data.figure_4(world) if row["domain"] == "hard"]
    assert [row["k"] for row in hard if row["by"] == "factuality"] == [
        "1000",
        "2500",
        "5000",
        "all",
    ]
    assert [row["k"] for row in hard if row["by"] == "random"] == ["1000", "2500", "5000"]
    assert {row["score"] for row in hard if row["k"] == "all"} == {60.03}
    assert {row["base"] for row in hard} == {56.45}


def test_seeds_stand_together_with_what_lies_between_them(world: ReportContext) -> None:
    found = [row for row in data.controls(world) if row["control"] == "seeds"]
    assert [(row["domain"], row["seeds"]) for row in found] == [
        ("easy", 3),
        ("hard", 3),
        ("stem", 3),
        ("code", 3),
    ]
    assert all(row["spread"] > 0 for row in found)


def test_a_run_that_is_not_there_is_none_and_counted(world: ReportContext) -> None:
    cells = [
        Cell(cell.at, None) if place < 3 else cell
        for place, cell in enumerate(world.cells("figure-2"))
    ]
    fewer = replace(world, experiments=world.experiments | {"figure-2": cells})
    assert data.missing(fewer, "figure-2") == (3, 12)
    easy = [row for row in data.figure_2(fewer) if row["domain"] == "easy"]
    assert [row["score"] is None for row in easy] == [True] * 3 + [False] * 9
    assert easy[0]["low"] is None
    assert easy[0]["base"] is not None


@pytest.mark.slow
def test_equal_rows_give_equal_files(world: ReportContext, tmp_path: Path) -> None:
    found = data.of(world)
    for folder in ("one", "two"):
        html.draw(found, tmp_path / folder)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == [f"figure-{n}.{kind}" for n in range(1, 6) for kind in ("png", "svg")]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.slow
def test_what_has_not_run_leaves_its_place_empty(world: ReportContext, tmp_path: Path) -> None:
    fewer = {
        name: [Cell(cell.at, None) for cell in cells] for name, cells in world.experiments.items()
    }
    html.draw(data.of(replace(world, experiments=fewer)), tmp_path / "none")
    html.draw(data.of(toy_world(easy={"base": 10})), tmp_path / "toy")
    assert len(list((tmp_path / "none").iterdir())) == 10
    assert len(list((tmp_path / "toy").iterdir())) == 10


def test_series_differ_in_grey_too() -> None:
    for styles in (SERIES, MARKERS, DASHES, HATCHES):
        assert len(set(styles)) == 5


def test_a_number_on_a_heat_map_is_read_on_its_own_cell() -> None:
    """Contrast of at least 4.5 : 1 at both ends and in the middle (WCAG)."""
    for share in (0.0, 0.25, 0.5, 0.74, 0.75, 1.0):
        tone = paper.ON_DARK if share > paper.DARK_FROM else paper.ON_LIGHT
        cell = luminance(paper.HEAT(share)[:3])
        text = luminance(tuple(int(tone[place : place + 2], 16) / 255 for place in (1, 3, 5)))
        lighter, darker = max(cell, text), min(cell, text)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, share


def luminance(colour: tuple[float, ...]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
