"""The recorded time of each stage belongs to one profile, one machine and one day."""

import json
from pathlib import Path

import pytest

from delta.core.errors import InputError
from delta.core.files import write_text
from delta.plan import dvc_state, stage_seconds
from delta.plan.dvc_state import Stage


def test_times_are_written_with_machine_and_day_and_hold_for_their_profile(tmp_path: Path) -> None:
    path = tmp_path / "stage_seconds.json"
    stage_seconds.write("laptop", {"fetch@tiny": 12.34, "train": 130.0}, path)
    recorded = stage_seconds.read(path)
    assert recorded.seconds == {"fetch@tiny": 12.3, "train": 130.0}
    assert recorded.machine is not None
    assert " × " in recorded.machine
    assert recorded.date is not None
    assert stage_seconds.seconds_of("laptop", path) == recorded.seconds
    assert stage_seconds.seconds_of("paper", path) == {}


def test_the_file_of_the_repository_is_one_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert stage_seconds.read().profile == "laptop"
    path = tmp_path / "stage_seconds.json"
    for content in (None, "{", json.dumps({"profile": "laptop"})):
        if content is not None:
            write_text(path, content)
        with pytest.raises(InputError, match=r"stage_seconds.json: missing or damaged; restore it"):
            stage_seconds.read(path)


def test_stages_run_depth_first_as_dvc_runs_them() -> None:
    # DVC's own example (dvc/repo/reproduce.py): E reads D and F, D reads B and C, both read A.
    reads = {"E": "DF", "D": "BC", "B": "A", "C": "A", "A": "", "F": "G", "G": ""}
    stages = [Stage(name, tuple(before), (), data_changed=False) for name, before in reads.items()]
    assert "".join(stage.name for stage in dvc_state.run_order(stages)) == "ABCDGFE"


def test_the_plan_says_how_long_recorded_stages_took(tmp_path: Path) -> None:
    path = tmp_path / "stage_seconds.json"
    seconds = {"select": 2.0, "train": 130.0, "report": 108.0}
    path.write_text(json.dumps({**RECORD, "seconds": seconds}))
    assert stage_seconds.describe("laptop", ["select", "train", "report"], path) == (
        "Recorded: these stages took 4 min with the profile's own parameters and no cached reply "
        "(2 × Toy CPU, 2026-01-02)."
    )
    seconds |= {"generate@one": 5.0, "replies generate": 600.0}
    path.write_text(json.dumps({**RECORD, "seconds": seconds}))
    assert "took 10 min with" in str(stage_seconds.describe("laptop", ["generate@one"], path))
    assert "took 2 min with" in str(stage_seconds.describe("laptop", ["train"], path))
    assert stage_seconds.describe("laptop", ["train", "analyze"], path) is None  # not recorded
    assert stage_seconds.describe("paper", ["train"], path) is None
    assert stage_seconds.describe("laptop", [], path) is None


RECORD = {"profile": "laptop", "machine": "2 × Toy CPU", "date": "2026-01-02"}
