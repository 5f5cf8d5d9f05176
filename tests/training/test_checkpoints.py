"""Unmarked and damaged checkpoints are never resumed."""

from pathlib import Path

import pytest

from delta.training import checkpoints
from tests.helpers.training_runs import steps_in


def write_checkpoints(folder: Path, *steps: int) -> None:
    for step in steps:
        checkpoint = checkpoints.path_for_step(folder, step)
        checkpoint.mkdir(parents=True)
        (checkpoint / "model.safetensors").write_bytes(b"weights" * 100)
        (checkpoint / "optimizer.pt").write_bytes(b"moments" * 100)
        checkpoints.mark_complete(checkpoint)


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
