"""A run says at which of its stages it is, and how long the rest takes where that is known."""

import errno
import json
from pathlib import Path

import pytest

from delta.core import progress
from delta.core.progress import Progress

STAGES = ["pair", "train", "evaluate@policy"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list whose only entry is the time."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def run_file(tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a run that starts at 100 s."""
    assert clock == [100.0]
    path = tmp_path / "folder/progress"
    progress.start(path, STAGES, {"pair": 60, "train": 600, "evaluate@policy": 300})
    monkeypatch.setenv("DELTA_PROGRESS", str(path))
    return path


def test_a_stage_of_a_run_says_its_number_its_time_and_what_is_left(
    run_file: Path, clock: list[float]
) -> None:
    clock[0] = 160.0  # as recorded
    line = progress.end_stage("pair", "16 pairs", 3.0)
    assert line == "stage 1 of 3: pair: 16 pairs (1 min 0 s, about 15 min left)"
    clock[0] = 160.0 + 3720  # (60 + 60 + 3720) / (60 + 60 + 600) = 5.33 times slower: 1600 s
    line = progress.end_stage("train", "loss 0.065", 3.0)
    assert line == "stage 2 of 3: train: loss 0.065 (1 h 2 min, about 27 min left)"
    clock[0] += 5
    line = progress.end_stage("evaluate@policy", "8% right", 3.0)
    assert line == "stage 3 of 3: evaluate policy: 8% right (5 s)"
    run = progress.read(run_file)
    assert run is not None
    assert run.seconds() == {"pair": 60, "train": 3720, "evaluate@policy": 5}


def test_the_time_of_a_command_between_stages_is_its_own(
    tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "progress"
    recorded = {"replies generate": 100.0, "generate@one": 10.0, "generate@two": 10.0}
    progress.start(path, list(recorded), recorded)
    monkeypatch.setenv("DELTA_PROGRESS", str(path))
    clock[0] = 200.0
    progress.end_replies("generate")
    progress.end_replies("judge")  # no step of this run
    clock[0] = 210.0
    line = progress.end_stage("generate@one", "8 traces", 3.0)
    assert line == "stage 1 of 2: generate one: 8 traces (10 s, about 10 s left)"
    run = progress.read(path)
    assert run is not None
    assert run.seconds() == {"replies generate": 100, "generate@one": 10}


@pytest.mark.usefixtures("run_file")
def test_stages_that_dvc_skips_are_passed(clock: list[float]) -> None:
    clock[0] = 160.0
    progress.end_stage("pair", "16 pairs", 3.0)
    clock[0] = 170.0
    line = progress.end_stage("evaluate@policy", "8% right", 3.0)
    assert line == "stage 3 of 3: evaluate policy: 8% right (10 s)"


def test_nothing_is_said_about_the_rest_where_a_stage_of_it_was_never_recorded(
    tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELTA_PROGRESS", str(tmp_path / "progress"))
    progress.start(tmp_path / "progress", STAGES, {"pair": 60, "train": 600})
    clock[0] = 112.0
    assert progress.end_stage("pair", "16 pairs", 3.0) == "stage 1 of 3: pair: 16 pairs (12 s)"


def test_without_a_run_a_stage_has_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DELTA_PROGRESS", raising=False)
    assert progress.end_stage("pair", "16 pairs", 3.4) == "pair: 16 pairs (3 s)"
    assert progress.end_stage("judge@one-shot", "rated", None) == "judge one-shot: rated"


@pytest.mark.parametrize(
    "content",
    [None, "", "{", "[]\n", '{"stages": 1}\n', json.dumps({"stages": ["select"]}) + "\n"],
)
def test_a_missing_or_damaged_file_or_that_of_another_run_ends_no_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    path = tmp_path / "progress"
    monkeypatch.setenv("DELTA_PROGRESS", str(path))
    if content is not None:
        path.write_text(content)
    assert progress.end_stage("pair", "16 pairs", 3.0) == "pair: 16 pairs (3 s)"


def test_a_full_disk_does_not_fail_a_stage_that_has_ended(
    run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    content = run_file.read_text()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        patch.setattr(Path, "read_text", lambda *_, **__: content)
        line = progress.end_stage("pair", "16 pairs", 3.0)
    assert line == "stage 1 of 3: pair: 16 pairs (3 s)"


@pytest.mark.parametrize(
    ("seconds", "exact", "rough"),
    [
        (0.2, "0 s", "10 s"),
        (12.4, "12 s", "10 s"),
        (59.6, "1 min 0 s", "1 min"),
        (130, "2 min 10 s", "2 min"),
        (3599, "59 min 59 s", "1 h 0 min"),
        (3660, "1 h 1 min", "1 h 0 min"),
        (7920, "2 h 12 min", "2 h 10 min"),
    ],
)
def test_durations_are_rounded(seconds: float, exact: str, rough: str) -> None:
    assert (progress.duration(seconds), progress.rough_duration(seconds)) == (exact, rough)


def test_before_the_first_stage_ends_a_run_takes_as_long_as_recorded() -> None:
    assert Progress(STAGES, dict.fromkeys(STAGES, 20.0), 0.0, {}).seconds_left() == 60.0
    assert Progress(STAGES, {}, 0.0, {}).seconds_left() is None
