"""Every table, figure and control as DVC experiments in its smallest size, and the page of it all.

A tiny model trains and a server on loopback answers, as in test_dvc_repro.py.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from delta.core.params import load_sections, read_all
from delta.experiments.grid import ExperimentParams, expand_grid
from delta.report.context import FURTHER_FIGURES, PAPER_FIGURES
from delta.report.equal_pairs import EQUALS
from tests.helpers.fake_server import FakeServer
from tests.helpers.pipeline_workspace import use_server
from tests.helpers.reference_run import ReferenceRun
from tests.helpers.workspace import DvcWorkspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def space(
    reference_run: ReferenceRun, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DvcWorkspace]:
    space = reference_run.copy(tmp_path_factory.mktemp("figures") / "space")
    with FakeServer() as server:
        space.edit(lambda content: use_server(content, server.url, "tiny", "policy"))
        space.commit()
        space.output = space.run("python", "-m", "delta", "experiment", "all", "--jobs", "2")
        yield space


def rows_of(space: DvcWorkspace, name: str) -> Any:
    return json.loads((space.folder / f"report/rows/{name}.json").read_text())


def test_every_distinct_run_has_a_complete_result(space: DvcWorkspace) -> None:
    path = space.folder / "params.yaml"
    content = read_all(path)
    experiments = load_sections("experiments", ExperimentParams, path)
    keys = {
        spec.key for name, grid in experiments.items() for spec in expand_grid(content, name, grid)
    }
    files = list((space.folder / "metrics/runs").glob("*.json"))
    assert {file.stem for file in files} == keys
    assert (
        f"{len(keys)} runs: 0 came with the repository, 0 made here, {len(keys)} to run"
        in space.output
    )
    for file in files:
        result = json.loads(file.read_text())
        assert {name: len(counts["correct"]) for name, counts in result["answers"].items()} == {
            "products": 6,
            "long-sums": 4,
            "humaneval": 3,
        }
        assert result["counts"]["train"]["pairs_kept"] >= 2


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("table-1", 2 * 5),  # two generators above the weakest, five dimensions
        ("table-2", 3 * 3),  # three generators, three benchmarks
        ("figure-1", 2 * 4),  # easy and hard, four policies
        ("figure-2", 3 * 4),  # easy, hard and code, four policies
        ("figure-3", 4),  # math, four kinds of pairs; the smoke profile has no STEM
        ("figure-4", 2 * (2 + 2 + 1)),  # easy, hard: the top of two dimensions, all pairs, random
        ("outcome-quality", 2 * 4),
        ("gap-by-delta", 2 * 4),
        ("dose", 2 * 3),  # the lowest, the middle and the highest fifth
        ("outcome-matched", 2 * 2),
    ],
)
def test_every_figure_has_a_value_with_its_interval_for_every_run(
    space: DvcWorkspace, name: str, rows: int
) -> None:
    values = rows_of(space, name)
    # A row of equal pairs names all of its dimensions.
    assert sum(str(row.get("by")).count(EQUALS) + 1 for row in values) == rows
    for row in values:
        # In gap-by-delta, "delta" is an axis: its entries are texts.
        (value,) = {
            name for name in ("delta", "score", "gain") if not isinstance(row.get(name, ""), str)
        }
        assert row["low"] <= row[value] <= row["high"]


@pytest.mark.parametrize("name", [*PAPER_FIGURES, *FURTHER_FIGURES])
def test_every_figure_is_drawn(space: DvcWorkspace, name: str) -> None:
    assert (space.folder / f"report/figures/{name}.svg").stat().st_size > 5_000
    assert (space.folder / f"report/figures/{name}.png").is_file()


def test_the_page_has_every_part_and_names_its_profile(space: DvcWorkspace) -> None:
    page = (space.folder / "report/index.html").read_text()
    for part in ("Table 1", "Table 2", "Figure 1", "Figure 5", "Controls", "smoke"):
        assert part in page


def test_two_runs_are_compared_question_by_question(space: DvcWorkspace) -> None:
    assert "| products | " in space.run("python", "-m", "delta", "compare", "policy", "zero-shot")
    output = space.run("python", "-m", "delta", "compare", "figure-1-dpo-weak-1", "random-4-1")
    assert "only figure-1-dpo-weak-1" in output
    shown = space.run("python", "-m", "delta", "compare", "policy", "three-shot", "--show", "all")
    assert "    policy, " in shown


def test_the_results_of_an_experiment_are_a_table(space: DvcWorkspace) -> None:
    output = space.run("python", "-m", "delta", "results", "figure-1")
    assert output.startswith("| method | pairs | seed | pairs | easy | easy − base (points) | ")
    assert output.count("| mean of 2 |") == 4  # two methods, two kinds of pairs
    assert "not run" not in output


def test_make_runs_one_figure_and_repeats_no_training(space: DvcWorkspace) -> None:
    results = {path: path.read_bytes() for path in (space.folder / "metrics/runs").glob("*.json")}
    output = space.make("experiment", "NAME=figure-1")
    assert re.search(r"^(\d+) runs: 0 came with the repository, \1 made here$", output, re.M)
    assert {path: path.read_bytes() for path in results} == results
