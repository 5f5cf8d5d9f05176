"""Checkpoints of a run: marked when complete, resumed only if marked, removed when not needed.

They are stored beside the reply cache, because DVC deletes a stage's outputs before it runs. A run
resumed from a checkpoint without its optimizer, or with a flipped bit, would diverge without a
warning. So a complete checkpoint is marked, and the mark has checksums.
"""

import json
import os
import shutil
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from delta.core import permissions
from delta.core.files import atomic_file
from delta.training.early_stopping import EarlyStoppingParams, Evaluation, decide

MARK = "COMPLETE"
BLOCK_SIZE = 1 << 24  # bytes read at once
Log = list[dict[str, Any]]  # Trainer's log_history


def path_for_step(folder: Path, step: int) -> Path:
    """Return the folder that Trainer gives the checkpoint after optimizer step `step`."""
    return folder / f"checkpoint-{step}"


def mark_complete(checkpoint: Path) -> None:
    """Write the mark, after syncing every file of the checkpoint to disk."""
    with atomic_file(checkpoint / MARK) as part:
        part.write_text(json.dumps(_checksums(checkpoint), indent=1), encoding="utf-8")
        permissions.inherit(checkpoint)
        permissions.inherit_below(checkpoint)  # another user of the cache may resume from it


def _checksums(checkpoint: Path) -> dict[str, list[int]]:
    """Return size and CRC-32 of every file except the mark; sync each to disk."""
    files = [
        file
        for file in sorted(checkpoint.rglob("*"))
        if file.is_file() and not file.name.startswith(MARK)
    ]
    with ThreadPoolExecutor() as pool:  # zlib releases the GIL
        checksums = list(pool.map(_checksum, files))
    names = (str(file.relative_to(checkpoint)) for file in files)
    return dict(zip(names, checksums, strict=True))


def _checksum(path: Path) -> list[int]:
    crc = 0
    with path.open("rb") as file:
        os.fsync(file.fileno())
        while block := file.read(BLOCK_SIZE):
            crc = zlib.crc32(block, crc)
    return [path.stat().st_size, crc]


def _is_undamaged(checkpoint: Path) -> bool:
    try:
        marked = json.loads((checkpoint / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(marked == _checksums(checkpoint))


def remove_checkpoint(checkpoint: Path) -> None:
    """Remove a checkpoint, its mark first, so that after a kill it is not resumed."""
    (checkpoint / MARK).unlink(missing_ok=True)
    shutil.rmtree(checkpoint)


def remove_all_but(folder: Path, steps: set[int]) -> None:
    """Remove the checkpoints of all steps but `steps`."""
    for checkpoint in folder.glob("checkpoint-*"):
        if _step(checkpoint) not in steps:
            remove_checkpoint(checkpoint)


def remove_run(folder: Path) -> None:
    """Remove a run's folder, the marks of its checkpoints first."""
    for mark in folder.glob(f"**/checkpoint-*/{MARK}"):
        mark.unlink()
    shutil.rmtree(folder)


def remove_incomplete(folder: Path) -> list[Path]:
    """Remove the checkpoints that must not be resumed; return the damaged ones.

    These are the unmarked checkpoints, and all from the first damaged one on, which the run writes
    again.
    """
    marked = []
    for checkpoint in folder.glob("checkpoint-*"):
        if (checkpoint / MARK).is_file():
            marked.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    damaged = [path for path in sorted(marked, key=_step) if not _is_undamaged(path)]
    for checkpoint in marked:
        if damaged and _step(checkpoint) >= _step(damaged[0]):
            remove_checkpoint(checkpoint)
    return damaged


def latest_complete(folder: Path) -> Path | None:
    """Return the latest marked checkpoint, or None."""
    marked = [mark.parent for mark in folder.glob(f"checkpoint-*/{MARK}")]
    return max(marked, key=_step, default=None)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def is_finished(checkpoint: Path, rule: EarlyStoppingParams | None) -> bool:
    """Return whether the run ended at this checkpoint, so that nothing is left to train."""
    state = load_trainer_state(checkpoint)
    if state.global_step >= state.max_steps:
        return True
    curve = held_out_curve(state.log_history)
    return rule is not None and bool(curve) and decide(curve, rule).converged_at is not None


def load_trainer_state(checkpoint: Path) -> Any:
    """Return the TrainerState of a checkpoint: its step, and all logs up to it."""
    from transformers import TrainerState

    return TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))


def held_out_curve(log: Log) -> list[Evaluation]:
    """Return the evaluations in a log, the first step first."""
    return [Evaluation(entry["step"], entry["eval_loss"]) for entry in log if "eval_loss" in entry]
