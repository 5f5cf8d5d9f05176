"""The commands of the README that begin with `make`, in the workspace of a finished run."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.helpers.import_closure import ROOT
from tests.helpers.reference_run import Calm
from tests.helpers.workspace import Workspace, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def space(calm: Calm, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    space = calm.copy(tmp_path_factory.mktemp("make") / "space")
    shutil.copy(ROOT / "Makefile", space.folder)
    return space


def make(space: Workspace, *arguments: str) -> str:
    """Run make in the environment of these tests, which it leaves as it is."""
    environment = f"VENV={Path(sys.executable).parent.parent}"
    return space.run("make", "--old-file=environment", environment, *arguments)


def test_repro_prints_the_scores_and_runs_nothing_again(space: Workspace) -> None:
    output = make(space, "repro")
    assert stages_run(output) == []
    assert "| benchmark | group |" in output


def test_plan_has_nothing_left(space: Workspace) -> None:
    assert "make repro" in make(space, "plan")


def test_view_pairs_writes_a_page(space: Workspace) -> None:
    make(space, "view-pairs")
    assert (space.folder / "report/pairs/index.html").is_file()


def test_export_writes_a_dataset_with_its_card(space: Workspace) -> None:
    make(space, "export")
    assert (space.folder / "export/README.md").is_file()


def test_experiment_runs_a_figure_that_is_declared(space: Workspace) -> None:
    # figure-1 trains; table-1 has no run of its own, so it only draws.
    assert "figure-1" in space.folder.joinpath("params.yaml").read_text()
    make(space, "experiment", "NAME=table-1")
