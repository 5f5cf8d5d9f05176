"""Run the pipeline, only what changed, and say what the run taught. `make repro` is this.

Each stage prints one line when it ends. What `dvc repro` says besides its errors is left out.
Downloads come first. Where several items of a stage ask the same model, `python -m delta replies`
asks for all of them before they run. `dvc repro` alone gives the same results.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from delta import check
from delta.check import Params
from delta.cli import repair_dvc, replies
from delta.cli.command_line import INPUT_ERROR_CODE
from delta.core import params, paths, progress
from delta.core.errors import InputError
from delta.core.git import git
from delta.inference import ray_actors
from delta.plan import availability, dvc_state, stage_seconds
from delta.plan.costs import uses_gpu
from delta.plan.dvc_state import UP_TO_DATE, Stage
from delta.plan.obstacles import obstacles
from delta.plan.pending import ASKING_STAGES
from delta.report import this_run

OBSTACLES = (
    "This machine lacks what the run needs; nothing was started (`dvc repro` would not ask):"
)
PROGRESS_FILE = Path(".dvc/tmp/progress.jsonl")
DOWNLOADS = ("fetch", "questions", "problems")  # stages that need the network, and no GPU
# By a run, in Git. metrics/runs/ has the results of experiments, which a run does not write.
WRITTEN = ("dvc.lock", str(paths.SUMMARY), str(paths.PLOTS))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    file = Path("delta/plan") / stage_seconds.FILE.name
    parser.add_argument(
        "--record",
        action="store_true",
        help=f"write how long each stage took to {file} (in a fresh clone, on an idle machine)",
    )


def run_stages(all_params: Params, record: bool = False) -> int:
    """Run the stages that something changed for, and return the exit code of what failed, or 0.

    With `record`, the time of each stage is written; raises InputError unless all stages would run.
    """
    stages = dvc_state.run_order(dvc_state.read_stages())
    names = [stage.name for stage in stages if stage.state != UP_TO_DATE]
    if record and len(names) < len(stages):
        raise InputError(
            f"--record: {len(names)} of {len(stages)} stages would run; expected all, as in a "
            "fresh clone"
        )
    if not names:
        print(f"Nothing to run: all {len(stages)} stages are up to date.")
        return 0
    profile = all_params.profile
    to_run = commands(all_params, stages)
    progress.start(PROGRESS_FILE, steps_of(to_run, names), stage_seconds.seconds_of(profile))
    run = progress.read(PROGRESS_FILE)
    left = None if run is None else run.seconds_left()
    about = "" if left is None else f", about {progress.rough_duration(left)}"
    print(f"{len(names)} of {len(stages)} stages to run{about}", flush=True)
    code = 0
    for command in to_run:
        code = code or run_command(*command, progress_file=PROGRESS_FILE)
    run = progress.read(PROGRESS_FILE)
    if code == 0 and run is not None:
        if skipped := len(names) - len(run.ended.keys() & set(names)):
            print(f"{skipped} of these did not have to run: unchanged, or in DVC's run cache.")
        if record:
            stage_seconds.write(profile, run.seconds())
    return code


def commands(all_params: Params, stages: list[Stage]) -> list[list[str]]:
    """Return the commands of a run: `dvc repro`, and what comes before it to load models once.

    `stages` are all stages in the order of a run.
    """
    by_name = {stage.name: stage for stage in stages}
    pending = [stage.name for stage in stages if stage.state != UP_TO_DATE]
    downloads = [name for name in pending if name.partition("@")[0] in DOWNLOADS]
    built: set[str] = set()
    before: list[list[str]] = []

    def build(names: Iterable[str]) -> None:
        needed = set(names).union(*(dvc_state.ancestors(name, by_name) for name in names)) - built
        if missing := [name for name in pending if name in needed]:
            # One by one, since DVC takes several targets in an order of its own.
            before.append(["dvc", "repro", "--single-item", *missing])
            built.update(missing)

    for stage in ASKING_STAGES:
        asked = replies.shared_models(all_params, by_name, stage)
        if items := {entry.item for entries in asked.values() for entry in entries}:
            build(downloads)
            build({name for item in items for name in by_name[item].before})
            before.append([sys.executable, "-m", "delta", "replies", stage])
    return [*before, ["dvc", "repro"]]


def steps_of(commands_: list[list[str]], names: list[str]) -> list[str]:
    """Return the steps of a run in order: the stages `names`, and the commands between them."""
    steps: list[str] = []
    for command in commands_:
        if command[0] == "dvc":
            targets = [word for word in command if word in names] or names
            steps += [name for name in targets if name not in steps]
        else:
            steps.append(progress.REPLIES + command[-1])
    return steps


def run_command(*words: str, progress_file: Path | None = None) -> int:
    """Run a command and return its exit code. Stages say where they are in `progress_file`'s run.

    What it prints on standard output is dropped; errors and the stages' lines are on standard
    error. It is asked to end when this process is, and gets Ctrl-C from the terminal.
    """
    environment = dict(os.environ)
    if progress_file is not None:
        environment[progress.VARIABLE] = str(progress_file.resolve())
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment)
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    return code if code >= 0 else 128 - code  # as shells say that a signal ended it


def result_lines() -> list[str]:
    """Return the scores, what the run taught, and the commands that show more."""
    run = this_run.read_summary()
    commands = {
        f"{python()} -m webbrowser {paths.REPORT / 'index.html'}": "the page of this run",
        f"{python()} -m delta compare {paths.POLICY} {run.base}": "its answers, by question",
    }
    return [
        *("", this_run.to_markdown(run.comparisons), "", run.sentence, ""),
        *_table(commands),
    ]


def change_lines() -> list[str]:
    """Return what a run changed in the files that are in Git, and what to do about it."""
    changes = {name: _changes(name) for name in WRITTEN}
    tracked, untracked = (
        [name for name in WRITTEN if any((code == "??") == is_new for code in changes[name])]
        for is_new in (False, True)
    )
    if not tracked + untracked:
        return []
    undo = [f"git restore {' '.join(tracked)}"] if tracked else []
    undo += [f"git clean -dfq {' '.join(untracked)}"] if untracked else []
    written = " ".join(name for name in WRITTEN if changes[name])
    count = sum(map(len, changes.values()))
    # A dvc.lock without the parameters of its run would be out of date for all who clone it.
    kept, what = written, "numbers"
    if _changes(str(params.PARAMS_FILE)):
        kept, what = f"{params.PARAMS_FILE} {written}", "parameters and numbers"
    commands = {
        f'git add {kept} && git commit -m "Run the pipeline"': f"keep this run's {what}",
        " && ".join(undo): "or go back to the numbers of the last commit",
    }
    number = f"{count} files" if count > 1 else "one file"
    return [
        "",
        f"Git does not have this run yet: {number} changed ({written.replace(' ', ', ')}).",
        *_table(commands),
    ]


def _changes(path: str) -> list[str]:
    """Return the code that `git status` has for each changed file of a path; none outside Git."""
    options = ("--porcelain", "-z", "--untracked-files=all", "--no-renames")
    return [entry[:2] for entry in git("status", *options, "--", path).split("\0") if entry]


def python() -> str:
    """Return the shell's word for this Python: `make` finds it, and the user's shell may not."""
    path = Path(sys.executable)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def obstacles_of(all_params: Params) -> list[str]:
    """Return what would stop the run on GPUs; none for a profile without."""
    if not uses_gpu(all_params):
        return []
    from huggingface_hub.constants import HF_HUB_OFFLINE

    hub = availability.ask_hub, availability.in_cache
    return obstacles(all_params, dvc_state.read_stages(), *hub, HF_HUB_OFFLINE)


def _table(commands: dict[str, str]) -> list[str]:
    width = max(map(len, commands))
    return [f"  {command:<{width}}  # {purpose}" for command, purpose in commands.items()]


def main(options: argparse.Namespace) -> int:
    all_params = check.check()
    if all_params.engine.kind == "ray":
        ray_actors.check_installed("engine.kind")  # now, not after the downloads
    repair_dvc.main(options)
    if found := obstacles_of(all_params):
        print("\n".join([OBSTACLES, *found]))
        return INPUT_ERROR_CODE
    code = run_stages(all_params, options.record)
    if code == 0:
        print("\n".join([*result_lines(), *change_lines()]))
    return code
