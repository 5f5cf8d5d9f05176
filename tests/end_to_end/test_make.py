"""The make targets of the README work in the workspace of a finished run."""

import re

import pytest

from tests.helpers.reference_run import ReferenceRun
from tests.helpers.workspace import DvcWorkspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def space(reference_run: ReferenceRun, tmp_path_factory: pytest.TempPathFactory) -> DvcWorkspace:
    return reference_run.copy(tmp_path_factory.mktemp("make") / "space")


def test_repro_runs_nothing_again_and_says_what_the_run_taught(space: DvcWorkspace) -> None:
    output = space.make("repro")
    assert re.search(r"^Nothing to run: all \d+ stages are up to date\.$", output, re.M)
    assert "| benchmark | group |" in output
    assert "python -m delta compare policy " in output


def test_plan_has_nothing_left(space: DvcWorkspace) -> None:
    assert re.search(r"^Nothing to do: all \d+ stages are up to date\.$", space.make("plan"), re.M)


def test_view_pairs_writes_a_page(space: DvcWorkspace) -> None:
    space.make("view-pairs")
    assert (space.folder / "report/pairs/index.html").is_file()


def test_export_writes_a_dataset_with_its_card(space: DvcWorkspace) -> None:
    space.make("export")
    assert (space.folder / "export/README.md").is_file()
