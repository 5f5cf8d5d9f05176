"""Unmarked and damaged checkpoints are never resumed."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from delta.training import checkpoints
from tests.helpers.training_runs import RULE, steps_in, stopping_early


def write_checkpoints(folder: Path, *steps: int) -> None:
    for step in steps:
        checkpoint = checkpoints.path_for_step(folder, step)
        checkpoint.mkdir(parents=True)
        (checkpoint / "model.safetensors").write_bytes(b"weights" * 100)
        (checkpoint / "optimizer.pt").write_bytes(b"moments" * 100)
        checkpoints.mark_complete(checkpoint, resumable=True)


def test_an_unmarked_checkpoint_is_never_resumed(tmp_path: Path) -> None:
    write_checkpoints(tmp_path, 2, 10, 12)
    (tmp_path / "checkpoint-12" / checkpoints.MARK).unlink()
    assert checkpoints.remove_incomplete(tmp_path) == []
    assert checkpoints.latest_complete(tmp_path) == tmp_path / "checkpoint-10"
    assert steps_in(tmp_path) == [2, 10]


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt"])
@pytest.mark.parametrize("damage", ["flipped", "shorter", "gone", "mark"])
def test_a_damaged_checkpoint_and_all_later_ones_are_removed(
    tmp_path: Path, file: str, damage: str
) -> None:
    """Early stopping must not choose a later checkpoint, whose earlier steps are lost."""
    write_checkpoints(tmp_path, 2, 10, 12)
    path = tmp_path / "checkpoint-10" / (checkpoints.MARK if damage == "mark" else file)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    match damage:
        case "gone":
            path.unlink()
        case "shorter":
            path.write_bytes(content[:-1])
        case _:
            path.write_bytes(content)
    assert checkpoints.remove_incomplete(tmp_path) == [tmp_path / "checkpoint-10"]
    assert steps_in(tmp_path) == [2]


def write_step(folder: Path, step: int, losses: dict[int, float], resumable: bool) -> None:
    """Write a marked checkpoint of a run of 100 steps with the evaluations `losses` so far."""
    checkpoint = checkpoints.path_for_step(folder, step)
    checkpoint.mkdir(parents=True)
    log = [{"step": at, "eval_loss": loss} for at, loss in losses.items()]
    state = {"global_step": step, "max_steps": 100, "log_history": log}
    (checkpoint / "trainer_state.json").write_text(json.dumps(state))
    checkpoints.mark_complete(checkpoint, resumable)


LOSSES = {0: 0.69, 10: 0.6, 20: 0.5, 30: 0.4, 40: 0.45}
PATIENT = stopping_early(early_stopping=RULE | {"patience": 9})


def write_run(folder: Path, resumable: set[int], *steps: int) -> None:
    for step in steps:
        losses = {at: loss for at, loss in LOSSES.items() if at <= step}
        write_step(folder, step, losses, step in resumable)


def test_the_best_weights_of_the_latest_resume_stay_until_the_next(tmp_path: Path) -> None:
    write_run(tmp_path, {25}, 10, 20, 25, 30)
    checkpoints.remove_superseded(tmp_path, PATIENT)
    assert steps_in(tmp_path) == [20, 25, 30]
    write_run(tmp_path, {45}, 45)
    checkpoints.remove_superseded(tmp_path, PATIENT)
    assert steps_in(tmp_path) == [30, 45]


def test_a_later_checkpoint_that_is_being_written_is_not_removed(tmp_path: Path) -> None:
    write_run(tmp_path, {25}, 20, 25)
    checkpoints.path_for_step(tmp_path, 30).mkdir()
    checkpoints.remove_superseded(tmp_path, PATIENT)
    assert steps_in(tmp_path) == [20, 25, 30]


def test_a_finished_run_keeps_its_last_and_its_best_checkpoint(tmp_path: Path) -> None:
    write_run(tmp_path, {25}, 20, 25, 30, 100)
    checkpoints.remove_superseded(tmp_path, PATIENT)
    assert steps_in(tmp_path) == [30, 100]
    checkpoints.remove_after_resume(tmp_path, PATIENT)
    assert steps_in(tmp_path) == [30, 100]


def test_weights_after_the_latest_resume_are_removed_because_the_run_makes_them_again(
    tmp_path: Path,
) -> None:
    write_run(tmp_path, {25}, 20, 25, 30)
    checkpoints.remove_after_resume(tmp_path, PATIENT)
    assert steps_in(tmp_path) == [20, 25]
    assert checkpoints.latest_complete(tmp_path) == tmp_path / "checkpoint-25"


def test_weights_alone_are_never_resumed(tmp_path: Path) -> None:
    write_run(tmp_path, set(), 10, 20)
    assert checkpoints.latest_resumable(tmp_path) is None
    checkpoints.remove_after_resume(tmp_path, PATIENT)
    assert steps_in(tmp_path) == []


def test_a_checkpoint_is_marked_while_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_disk = threading.Event()
    original = checkpoints._checksums

    def checksums(checkpoint: Path) -> Any:
        slow_disk.wait(60)
        return original(checkpoint)

    write_run(tmp_path, {25}, 25)
    (tmp_path / "checkpoint-25" / checkpoints.MARK).unlink()
    monkeypatch.setattr(checkpoints, "_checksums", checksums)
    marker = checkpoints.BackgroundMarker(tmp_path, PATIENT)
    marker.mark(25, resumable=True)  # returns at once
    assert checkpoints.latest_complete(tmp_path) is None
    slow_disk.set()
    marker.wait()
    assert checkpoints.latest_resumable(tmp_path) == tmp_path / "checkpoint-25"


def test_a_failure_of_the_thread_ends_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = checkpoints.BackgroundMarker(tmp_path, PATIENT)
    monkeypatch.setattr(checkpoints, "MAX_UNMARKED", 0)
    with pytest.raises(FileNotFoundError):
        marker.mark(7, resumable=True)
