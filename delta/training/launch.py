"""A training run in this process, or in several that `accelerate launch` starts.

What to train on lies in a folder that every process reads. `python -m delta.training.launch FOLDER`
is one of several: the first says on its standard output how far it is, the rest goes to the log.
"""

import ctypes
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

from delta.core import permissions
from delta.core.console import Console
from delta.core.errors import InputError
from delta.core.types import Row
from delta.training import checkpoints
from delta.training.config import TrainParams
from delta.training.early_stopping import decide

STEP, WRONG = "delta.training.launch step", "delta.training.launch wrong"
RUN, FACTS = "run.json", "facts.json"
LIBC, SET_SIGNAL_OF_PARENTS_DEATH = ctypes.CDLL(None), 1  # Linux
NOT_SHAPING = ("output_dir", "logging_dir", "run_name", "local_rank", "hub_token")


def run_key(params: TrainParams, rows: list[Row], held_out: list[Row], fingerprint: str) -> str:
    """Identity of a training run: parameters, options, base model, rows in order, versions.

    The protocol is in the rows, which are its text in tokens.
    """
    import torch
    import transformers
    import trl

    from delta.training.trainer import arguments

    unsharded = params.model_copy(
        update={"launch": params.launch.model_copy(update={"sharding": "none"})}
    )
    options = arguments(unsharded, Path("checkpoints")).to_dict()
    shaping = {name: str(value) for name, value in options.items() if name not in NOT_SHAPING}
    versions = [trl.__version__, transformers.__version__, torch.__version__]
    sha = hashlib.sha256(json.dumps([params.model_dump(), fingerprint, shaping, versions]).encode())
    for row in [*rows, {"held out": len(held_out)}, *held_out]:
        sha.update(json.dumps(row).encode())
    return sha.hexdigest()[:16]


def prepare(
    folder: Path, params: TrainParams, base: Path, rows: list[Row], held_out: list[Row]
) -> list[Path]:
    """Write what every process reads, and remove what no process may resume. The checkpoints among
    it that were whole once and are damaged now.

    Raises InputError where the rows do not fill one batch of every process.
    """
    together = params.batch_size * params.launch.processes
    if len(rows) < together:
        raise InputError(
            f"train.batch_size = {params.batch_size}: {params.launch.processes} process(es) take "
            f"{together} rows at once, there are only {len(rows)}; allowed: 1 to "
            f"{len(rows) // params.launch.processes}"
        )
    import datasets

    permissions.make_folder(folder)
    permissions.make_folder(folder / "checkpoints")
    damaged = checkpoints.remove_incomplete(folder / "checkpoints")
    for name, content in (("rows", rows), ("held_out", held_out)):
        if content:
            datasets.Dataset.from_list(content).save_to_disk(str(folder / name))
    (folder / FACTS).unlink(missing_ok=True)
    run = {"params": params.model_dump(), "base": str(base)}
    (folder / RUN).write_text(json.dumps(run), encoding="utf-8")
    permissions.inherit_below(folder)
    return damaged


def train(
    folder: Path, history: Path, held_out_history: Path, console: Console
) -> tuple[Path, dict[str, Any]]:
    """Train what was prepared: the checkpoint whose weights are the policy, and the facts.

    Raises InputError where the loss is not finite any more.
    """
    params, base = _read(folder)
    on_step = _bar(console)
    resumed = checkpoints.latest(folder / "checkpoints")
    if resumed is not None:
        console.print(f"train: going on from {resumed.name}")
    if params.launch.processes == 1:
        from delta.training import trainer

        run = trainer.Run(params, base, folder, history, held_out_history)
        found = trainer.train(run, on_step)
    else:
        _in_processes(params.launch.processes, folder, (history, held_out_history), on_step)
        found = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return _outcome(params, folder / "checkpoints", found)


def _read(folder: Path) -> tuple[TrainParams, Path]:
    run = json.loads((folder / RUN).read_text(encoding="utf-8"))
    return TrainParams.model_validate(run["params"]), Path(run["base"])


def _bar(console: Console) -> Callable[[int, int], None]:
    steps: Any = None

    def on_step(done: int, total: int) -> None:
        nonlocal steps
        if steps is None:
            remaining = range(total - done + 1)
            steps = console.progress(remaining, len(remaining), "train")
        next(steps, None)
        if done == total:
            next(steps, None)  # the bar counts a step when the next one is asked for

    return on_step


def command(processes: int, arguments: list[str]) -> list[str]:
    """`accelerate launch`; what is sharded and how is in TRL's configuration, from the params."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    settings = {"num_processes": processes, "num_machines": 1, "mixed_precision": "no"}
    settings |= {"dynamo_backend": "no", "main_process_port": 0}  # 0: any free port
    for name, value in settings.items():
        launch += [f"--{name}", str(value)]
    return [*launch, "--module", "delta.training.launch", *arguments]


def _in_processes(
    processes: int,
    folder: Path,
    histories: tuple[Path, Path],
    on_step: Callable[[int, int], None],
) -> None:
    started = subprocess.Popen(
        command(processes, [str(folder), *map(str, histories)]),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=os.environ | {"HF_HUB_DISABLE_TELEMETRY": "1"},
        preexec_fn=_ends_with_its_parent,  # noqa: PLW1509 - one system call, no lock
    )
    wrong = ""
    try:
        assert started.stdout is not None
        for line in started.stdout:
            if line.startswith(STEP):
                done, total = line.removeprefix(STEP).split()
                on_step(int(done), int(total))
            elif line.startswith(WRONG):
                wrong = line.removeprefix(WRONG).strip()
            else:
                print(line, end="")  # noqa: T201 - a stage's standard output is its log
    finally:
        started.terminate()  # accelerate ends its processes then
        code = started.wait()
    if wrong:
        raise InputError(wrong)
    if code:
        raise RuntimeError(f"accelerate launch ended with {code}; the log has the story")


def _ends_with_its_parent() -> None:
    """Processes that outlive a killed stage would hold the GPUs."""
    LIBC.prctl(SET_SIGNAL_OF_PARENTS_DEATH, signal.SIGTERM)


def _outcome(
    params: TrainParams, folder: Path, found: dict[str, Any]
) -> tuple[Path, dict[str, Any]]:
    logged = [entry for entry in found["log"] if "loss" in entry]
    if not all(math.isfinite(entry["loss"]) for entry in logged):
        raise InputError(
            f"train.{params.method}.learning_rate = {params.own.learning_rate}: the loss is not "
            f"finite any more; {folder} holds the run; allowed: a smaller learning rate"
        )
    facts = {
        "steps": found["steps"],
        "first_loss": round(float(logged[0]["loss"]), 4),
        "last_loss": round(float(logged[-1]["loss"]), 4),
    }
    if "rewards/margins" in logged[-1]:
        facts["last_margin"] = round(float(logged[-1]["rewards/margins"]), 4)
    chosen = facts["steps"]
    if params.convergence is not None:
        best, converged_at = decide(checkpoints.held_out_curve(found["log"]), params.convergence)
        chosen = best.step
        facts["held_out_loss"] = round(best.loss, 4)
        facts["converged_at"] = converged_at
    facts |= {"chosen_step": chosen, "options": found["options"]}
    return checkpoints.path_for_step(folder, chosen), facts


def main(argv: list[str]) -> None:
    """One process of several."""
    folder, history, held_out_history = map(Path, argv)
    params, base = _read(folder)
    from accelerate import PartialState

    from delta.training import trainer

    run = trainer.Run(params, base, folder, history, held_out_history)
    first = int(os.environ.get("RANK", "0")) == 0

    def on_step(done: int, total: int) -> None:
        if first:
            print(STEP, done, total, flush=True)  # noqa: T201

    try:
        found = trainer.train(run, on_step)
    except InputError as error:
        if first:
            print(WRONG, error, flush=True)  # noqa: T201
        sys.exit(2)
    if first:
        (folder / FACTS).write_text(json.dumps(found), encoding="utf-8")
    PartialState().destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1:])
