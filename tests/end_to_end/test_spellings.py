"""`dvc exp run` accepts small numbers in every spelling, and the stages read them as numbers."""

from pathlib import Path

import pytest

from delta.core import params
from tests.helpers.import_closure import ROOT
from tests.helpers.workspace import DvcWorkspace, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
KEY, STAGE = "train.dpo.learning_rate", "questions@sums"


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> DvcWorkspace:
    """Return a workspace in which stage `questions` has to run, which begins with the check."""
    return DvcWorkspace(tmp_path_factory.mktemp("spellings"), ROOT / "params.yaml")


def rate(folder: Path) -> float:
    value = params.get(KEY, folder / "params.yaml")
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize(
    ("spelling", "value"), [("5e-8", 5e-8), ("5.0E-08", 5e-8), (".5e-7", 5e-8), ("1e-10", 1e-10)]
)
def test_exp_run_takes_a_small_number_in_every_spelling(
    space: DvcWorkspace, spelling: str, value: float
) -> None:
    output = space.dvc("exp", "run", "--force", "-S", f"{KEY}={spelling}", STAGE)
    assert stages_run(output) == [STAGE]
    assert rate(space.folder) == value


def test_queued_runs_accept_small_numbers(space: DvcWorkspace) -> None:
    for spelling in ("5e-8", "1e-10"):
        space.dvc(
            "exp", "run", "--queue", "--name", f"r{spelling}", "-S", f"{KEY}={spelling}", STAGE
        )
    space.dvc("exp", "run", "--run-all")
    table = space.dvc("exp", "show", "--no-pager", "--csv")
    assert "r5e-8" in table
    assert "r1e-10" in table
    assert "Failed" not in space.dvc("queue", "status")


def test_a_number_in_quotes_is_refused(space: DvcWorkspace) -> None:
    output = space.dvc("exp", "run", "--force", "-S", f"{KEY}='5e-8'", STAGE, ok=False)
    assert f"{KEY} = '5e-8'" in output
    assert "a string; write 5e-8 without quotes" in output
