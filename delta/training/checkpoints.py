"""Checkpoints of a run: marked when complete, resumed only if marked, removed when not needed.

They are stored beside the reply cache, because DVC deletes a stage's outputs before it runs. A run
resumed from a checkpoint without its optimizer, or with a flipped bit, would diverge without a
warning. So a complete checkpoint is marked, and the mark has checksums. It also says whether the
checkpoint can be resumed: those that only early stopping needs have weights and no optimizer.
"""

import json
import os
import shutil
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from delta.core import permissions
from delta.core.files import atomic_file
from delta.training.config import TrainParams
from delta.training.early_stopping import Decision, Evaluation, decide

MARK = "COMPLETE"
BLOCK_SIZE = 1 << 24  # bytes read at once
MAX_UNMARKED = 2  # checkpoints that wait for their marks while training goes on
Log = list[dict[str, Any]]  # Trainer's log_history


def path_for_step(folder: Path, step: int) -> Path:
    """Return the folder that Trainer gives the checkpoint after optimizer step `step`."""
    return folder / f"checkpoint-{step}"


def mark_complete(checkpoint: Path, resumable: bool) -> None:
    """Write the mark, after syncing every file of the checkpoint to disk."""
    mark = {"resumable": resumable, "files": _checksums(checkpoint)}
    with atomic_file(checkpoint / MARK) as part:
        part.write_text(json.dumps(mark, indent=1), encoding="utf-8")
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
    return _read_mark(checkpoint).get("files") == _checksums(checkpoint)


def _read_mark(checkpoint: Path) -> dict[str, Any]:
    """Return the mark; an empty one if it is damaged."""
    try:
        mark = json.loads((checkpoint / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}


def remove_checkpoint(checkpoint: Path) -> None:
    """Remove a checkpoint, its mark first, so that after a kill it is not resumed."""
    (checkpoint / MARK).unlink(missing_ok=True)
    shutil.rmtree(checkpoint)


class BackgroundMarker:
    """Marks the checkpoints of a run in a thread, one after the other, while training goes on.

    Reading 100 GB back takes minutes, in which no process has to wait. Marks follow in the order of
    the steps, so a checkpoint is marked after the best weights that its log names.
    """

    def __init__(self, folder: Path, params: TrainParams) -> None:
        self._folder, self._params = folder, params
        self._pool = ThreadPoolExecutor(1)
        self._pending: deque[Future[None]] = deque()

    def mark(self, step: int, resumable: bool) -> None:
        """Begin to mark the checkpoint of `step`, then to remove those that it supersedes.

        Waits while too many are unmarked: a slow disk must not fill up. Raises the error of an
        earlier one.
        """
        checkpoint = path_for_step(self._folder, step)
        self._pending.append(self._pool.submit(self._mark, checkpoint, resumable))
        while self._pending and (self._pending[0].done() or len(self._pending) > MAX_UNMARKED):
            self._pending.popleft().result()

    def _mark(self, checkpoint: Path, resumable: bool) -> None:
        mark_complete(checkpoint, resumable)
        remove_superseded(self._folder, self._params)

    def wait(self) -> None:
        """Wait until every checkpoint is marked. Raises the error of the first that cannot be."""
        while self._pending:
            self._pending.popleft().result()


def remove_superseded(folder: Path, params: TrainParams) -> None:
    """Remove the checkpoints before the latest that neither a resume nor the policy needs.

    The best weights of an earlier resume stay until a later checkpoint can be resumed: after a kill
    the run begins there again.
    """
    latest = latest_complete(folder)
    if latest is None:
        return
    resumable = latest if is_finished(latest, params) else latest_resumable(folder)
    needed = set()
    for checkpoint in {latest, resumable or latest}:
        state = load_trainer_state(checkpoint)
        decision = decide_from_log(params, state.log_history, state.max_steps)
        needed |= {state.global_step} | ({decision.best.step} if decision else set())
    for checkpoint in folder.glob("checkpoint-*"):
        # A later one is being written by the training processes.
        if _step(checkpoint) < _step(latest) and _step(checkpoint) not in needed:
            remove_checkpoint(checkpoint)


def remove_after_resume(folder: Path, params: TrainParams) -> None:
    """Remove the weights of steps that the run will make again, unless it is finished."""
    latest = latest_complete(folder)
    if latest is None or is_finished(latest, params):
        return
    resumable = latest_resumable(folder)
    for checkpoint in folder.glob("checkpoint-*"):
        if resumable is None or _step(checkpoint) > _step(resumable):
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
    return max(_marked(folder), key=_step, default=None)


def latest_resumable(folder: Path) -> Path | None:
    """Return the latest marked checkpoint with the optimizer, or None."""
    resumable = (path for path in _marked(folder) if _read_mark(path).get("resumable") is True)
    return max(resumable, key=_step, default=None)


def _marked(folder: Path) -> list[Path]:
    return [mark.parent for mark in folder.glob(f"checkpoint-*/{MARK}")]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def is_finished(checkpoint: Path, params: TrainParams) -> bool:
    """Return whether the run ended at this checkpoint, so that nothing is left to train."""
    state = load_trainer_state(checkpoint)
    if state.global_step >= state.max_steps:
        return True
    decision = decide_from_log(params, state.log_history, state.max_steps)
    return decision is not None and decision.converged_at is not None


def decide_from_log(params: TrainParams, log: Log, max_steps: int) -> Decision | None:
    """Apply early stopping to a log; None where it does not decide or nothing is evaluated."""
    curve = held_out_curve(log)
    if params.early_stopping is None or not params.stops_early or not curve:
        return None
    return decide(curve, params.early_stopping, params.num_warmup_steps(max_steps))


def load_trainer_state(checkpoint: Path) -> Any:
    """Return the TrainerState of a checkpoint: its step, and all logs up to it."""
    from transformers import TrainerState

    return TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))


def held_out_curve(log: Log) -> list[Evaluation]:
    """Return the evaluations in a log, the first step first."""
    return [Evaluation(entry["step"], entry["eval_loss"]) for entry in log if "eval_loss" in entry]
