"""Train in this process, or in several that `accelerate launch` starts.

The parent writes the parameters and rows to a folder (`prepare_run`), from which every process
reads them. `python -m delta.training.launch FOLDER HISTORY HELD_OUT_HISTORY` is such a process. The
first one reports its progress to the parent on standard output; other output goes to the log.
"""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from delta.core import permissions, processes
from delta.core.console import Console
from delta.core.errors import InputError
from delta.core.machine import cpu
from delta.core.schemas import SIDES
from delta.core.types import Counts, Row
from delta.training import checkpoints, first_margin
from delta.training.config import TrainParams

# The first process starts its messages to the parent with these.
STEP, ERROR = "delta.training.launch step", "delta.training.launch error"
RUN, RESULT = "run.json", "result.json"


def run_key(params: TrainParams, rows: list[Row], held_out: list[Row], fingerprint: str) -> str:
    """Return the identity of a run: parameters, options, base model, rows in order, versions.

    The rows contain the chat format, as tokens.
    """
    import torch
    import transformers
    import trl

    versions = [trl.__version__, transformers.__version__, torch.__version__]
    identity = [
        params.model_dump(exclude={"save_minutes"}),
        params.trl_options(),
        fingerprint,
        versions,
    ]
    identity.append(torch.cuda.is_available())
    sha = hashlib.sha256(json.dumps(identity).encode())
    for row in [*rows, {"held out": len(held_out)}, *held_out]:
        sha.update(json.dumps(row).encode())
    return sha.hexdigest()[:16]


def prepare_run(
    folder: Path, params: TrainParams, base: Path, rows: list[Row], held_out: list[Row]
) -> list[Path]:
    """Write the files that every process reads; remove checkpoints that must not be resumed.

    Return the damaged checkpoints among those. Raises InputError if the rows do not fill a batch of
    every process.
    """
    if len(rows) < params.rows_per_forward:
        size, pairs = params.per_device_train_batch_size, len(rows) // params.rows_per_pair
        raise InputError(
            f"train.per_device_train_batch_size = {size}: {params.num_processes} process(es) take "
            f"{size * params.num_processes} pairs at once, there are only {pairs}; expected 1 to "
            f"{pairs // params.num_processes}"
        )
    import datasets

    permissions.make_folder(folder)
    permissions.make_folder(folder / "checkpoints")
    damaged = checkpoints.remove_incomplete(folder / "checkpoints")
    checkpoints.remove_after_resume(folder / "checkpoints", params)
    for name, content in (("rows", rows), ("held_out", held_out)):
        if content:
            datasets.Dataset.from_list(content).save_to_disk(str(folder / name))
    (folder / RESULT).unlink(missing_ok=True)
    run = {"params": params.model_dump(), "base": str(base)}
    (folder / RUN).write_text(json.dumps(run), encoding="utf-8")
    permissions.inherit_below(folder)
    return damaged


def train(
    folder: Path, history: Path, held_out_history: Path, console: Console
) -> tuple[Path, Counts]:
    """Train the prepared run; return the checkpoint that becomes the policy, and counts.

    Raises InputError if the loss is not finite.
    """
    params, base = _read(folder)
    on_step = _progress_bar(console)
    checkpoint = checkpoints.latest_complete(folder / "checkpoints")
    if checkpoint is not None:
        console.print(f"train: resuming from {checkpoint.name}")
    if params.num_processes == 1:
        from delta.training import trainer

        result = trainer.train(
            trainer.TrainingRun(params, base, folder, history, held_out_history), on_step
        )
    else:
        _train_in_processes(params.num_processes, folder, (history, held_out_history), on_step)
        result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    counts = _summarize(params, folder / "checkpoints", result)
    if message := first_margin.warning(params, counts):
        console.print(f"train: warning: {message}")
    return checkpoints.path_for_step(folder / "checkpoints", counts["chosen_step"]), counts


def _read(folder: Path) -> tuple[TrainParams, Path]:
    run = json.loads((folder / RUN).read_text(encoding="utf-8"))
    return TrainParams.model_validate(run["params"]), Path(run["base"])


def _progress_bar(console: Console) -> Callable[[int, int], None]:
    steps: Any = None

    def on_step(done: int, total: int) -> None:
        nonlocal steps
        if steps is None:
            remaining = range(total - done + 1)
            steps = console.progress(remaining, len(remaining), "train")
        next(steps, None)
        if done == total:
            next(steps, None)  # the bar counts a step when the next is requested

    return on_step


def machine(params: TrainParams) -> str:
    """Return the number and the name of the GPUs that trained; without GPUs, of the processors."""
    import torch

    if torch.cuda.is_available():
        return f"{params.num_processes} × {torch.cuda.get_device_name(0)}"
    return cpu()


def accelerate_command(processes: int, arguments: list[str]) -> list[str]:
    """Return the `accelerate launch` command. FSDP is set up in TRL's config, not here."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    settings = {"num_processes": processes, "num_machines": 1, "mixed_precision": "no"}
    settings |= {"dynamo_backend": "no", "main_process_port": 0}  # 0: any free port
    for name, value in settings.items():
        launch += [f"--{name}", str(value)]
    return [*launch, "--module", "delta.training.launch", *arguments]


def _train_in_processes(
    processes: int,
    folder: Path,
    histories: tuple[Path, Path],
    on_step: Callable[[int, int], None],
) -> None:
    launcher = subprocess.Popen(
        accelerate_command(processes, [str(folder), *map(str, histories)]),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=os.environ | {"HF_HUB_DISABLE_TELEMETRY": "1"},
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, no lock
    )
    message = ""
    try:
        assert launcher.stdout is not None
        for line in launcher.stdout:
            if line.startswith(STEP):
                done, total = line.removeprefix(STEP).split()
                on_step(int(done), int(total))
            elif line.startswith(ERROR):
                message = line.removeprefix(ERROR).strip()
            else:
                print(line, end="")  # noqa: T201 - a stage's standard output is its log
    finally:
        launcher.terminate()  # accelerate then ends its processes
        code = launcher.wait()
    if message:
        raise InputError(message)
    if code:
        raise RuntimeError(f"accelerate launch exited with {code}; see the log")


def _end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the stage is killed, so that the processes free the GPUs."""
    processes.end_with_parent(signal.SIGTERM)


def _summarize(params: TrainParams, folder: Path, result: dict[str, Any]) -> Counts:
    logged = [entry for entry in result["log"] if "loss" in entry]
    if not all(math.isfinite(entry["loss"]) for entry in logged):
        rate = params.method_params.learning_rate
        raise InputError(
            f"train.{params.method}.learning_rate = {rate}: the loss is no longer finite; the run "
            f"is in {folder}; expected a smaller learning rate"
        )
    counts: Counts = {
        "steps": result["steps"],
        "max_steps": result["max_steps"],
        "first_loss": round(float(logged[0]["loss"]), 4),
        "last_loss": round(float(logged[-1]["loss"]), 4),
    }
    if "rewards/margins" in logged[-1]:
        counts["last_margin"] = round(float(logged[-1]["rewards/margins"]), 4)
    counts["logps"] = _logged_logps(logged)
    counts |= first_margin.find(result["log"])
    counts |= {"converged_at": None, "chosen_step": counts["steps"]}
    curve = checkpoints.held_out_curve(result["log"])
    decision = checkpoints.decide_from_log(params, result["log"], result["max_steps"])
    if decision is not None:
        counts |= {"converged_at": decision.converged_at, "chosen_step": decision.best.step}
    if curve:
        chosen = next(point for point in curve[::-1] if point.step == counts["chosen_step"])
        counts["held_out_loss"] = round(chosen.loss, 4)
    return counts | {"options": result["options"]}


def _logged_logps(logged: checkpoints.Log) -> Counts | None:
    """Return TRL's mean log-probability of a trace (nats) at the first and the last logged step.

    The two steps have different pairs. KTO may log one side only. None for SFT, which logs none.
    """
    sides: Counts = {}
    for side in SIDES:
        values = [entry[f"logps/{side}"] for entry in logged if f"logps/{side}" in entry]
        if values:
            sides[side] = {"first": round(values[0], 4), "last": round(values[-1], 4)}
    return sides or None


def main(argv: list[str]) -> None:
    """Run one of several processes."""
    folder, history, held_out_history = map(Path, argv)
    params, base = _read(folder)
    from accelerate import PartialState

    from delta.training import trainer

    run = trainer.TrainingRun(params, base, folder, history, held_out_history)
    is_first = int(os.environ.get("RANK", "0")) == 0

    def on_step(done: int, total: int) -> None:
        if is_first:
            print(STEP, done, total, flush=True)  # noqa: T201

    try:
        result = trainer.train(run, on_step)
    except InputError as error:
        if is_first:
            print(ERROR, error, flush=True)  # noqa: T201
        sys.exit(2)
    if is_first:
        (folder / RESULT).write_text(json.dumps(result), encoding="utf-8")
    PartialState().destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1:])
