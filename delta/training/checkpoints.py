"""Checkpoints of a training run: marked when whole, resumed only when marked, few at a time.

They lie beside the reply store, since DVC deletes a stage's outputs before it runs. A checkpoint
without its optimizer, or with a flipped bit in it, would resume without a word and diverge: hence
the mark, and the checksums in it.
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
from delta.training.early_stopping import ConvergenceParams, Evaluation, decide

MARK = "COMPLETE"
BLOCK = 1 << 24  # bytes read at once
Log = list[dict[str, Any]]


def path_for_step(folder: Path, step: int) -> Path:
    return folder / f"checkpoint-{step}"


def mark_complete(checkpoint: Path) -> None:
    """Call it when all files are written: they are on disk before the mark is."""
    with atomic_file(checkpoint / MARK) as part:
        part.write_text(json.dumps(_checksums(checkpoint), indent=1), encoding="utf-8")
        permissions.inherit(checkpoint)
        permissions.inherit_below(checkpoint)  # another user of the store may go on from it


def _checksums(checkpoint: Path) -> dict[str, list[int]]:
    """Size and CRC-32 of every file but the mark; all of them are on disk afterwards."""
    files = sorted(file for file in checkpoint.rglob("*") if file.is_file())
    own = [file for file in files if not file.name.startswith(MARK)]
    with ThreadPoolExecutor() as pool:  # zlib lets other threads run
        sums = list(pool.map(_checksum, own))
    return {str(file.relative_to(checkpoint)): one for file, one in zip(own, sums, strict=True)}


def _checksum(path: Path) -> list[int]:
    crc = 0
    with path.open("rb") as file:
        os.fsync(file.fileno())
        while block := file.read(BLOCK):
            crc = zlib.crc32(block, crc)
    return [path.stat().st_size, crc]


def _is_as_marked(checkpoint: Path) -> bool:
    try:
        known = json.loads((checkpoint / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(known == _checksums(checkpoint))


def remove(checkpoint: Path) -> None:
    """Its mark first: a kill in between leaves nothing to resume."""
    (checkpoint / MARK).unlink(missing_ok=True)
    shutil.rmtree(checkpoint)


def keep(folder: Path, steps: set[int]) -> None:
    for checkpoint in folder.glob("checkpoint-*"):
        if _step(checkpoint) not in steps:
            remove(checkpoint)


def discard(folder: Path) -> None:
    """Remove a run's folder, the marks of its checkpoints first."""
    for marked in folder.glob(f"**/checkpoint-*/{MARK}"):
        marked.unlink()
    shutil.rmtree(folder)


def remove_incomplete(folder: Path) -> list[Path]:
    """Delete the checkpoints that nothing may resume: unmarked ones, and, from the first that is
    no longer as it was marked, all: the run makes them again. The damaged ones are returned."""
    marked = []
    for checkpoint in folder.glob("checkpoint-*"):
        if (checkpoint / MARK).is_file():
            marked.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    damaged = [one for one in sorted(marked, key=_step) if not _is_as_marked(one)]
    for checkpoint in marked:
        if damaged and _step(checkpoint) >= _step(damaged[0]):
            remove(checkpoint)
    return damaged


def latest(folder: Path) -> Path | None:
    """The latest marked checkpoint."""
    whole = [marked.parent for marked in folder.glob(f"checkpoint-*/{MARK}")]
    return max(whole, key=_step, default=None)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def is_finished(checkpoint: Path, rule: ConvergenceParams | None) -> bool:
    """Whether the run was over when this was saved: nothing is left to train."""
    state = state_of(checkpoint)
    if state.global_step >= state.max_steps:
        return True
    curve = held_out_curve(state.log_history)
    return rule is not None and bool(curve) and decide(curve, rule).converged_at is not None


def state_of(checkpoint: Path) -> Any:
    from transformers import TrainerState

    return TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))


def held_out_curve(log: Log) -> list[Evaluation]:
    return [Evaluation(entry["step"], entry["eval_loss"]) for entry in log if "eval_loss" in entry]
