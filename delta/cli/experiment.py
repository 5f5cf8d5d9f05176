"""Run named experiments of params.yaml as DVC experiments, and collect them into metrics/runs/."""

import argparse
import subprocess
import sys
from pathlib import Path

from delta import check
from delta.cli import dvc_queue, exit, untracked_files
from delta.core import params
from delta.core.console import Console
from delta.core.errors import InputError
from delta.experiments import overrides, results
from delta.experiments.grid import Cell, ExperimentParams, cells, with_changes


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("names", nargs="*", help="names in params.yaml: experiments; or all")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side (default: 1)")
    given = parser.parse_args()
    if given.jobs < 1:
        parser.error(f"argument --jobs: {given.jobs}; expected: 1 or more")
    return given


def wanted(names: list[str]) -> list[Cell]:
    """The distinct runs of the experiments, each checked as a params.yaml of its own."""
    content = params.read_all()
    declared = params.load_sections("experiments", ExperimentParams)
    if not names:
        raise InputError(f"no experiment is named; expected: all, {', '.join(declared)}")
    found: dict[str, Cell] = {}
    for name in declared if names == ["all"] else names:
        if name not in declared:
            raise InputError(f"experiment {name!r}: allowed: all, {', '.join(declared)}")
        for cell in cells(content, name, declared[name]):
            if cell.key not in found:
                new = with_changes(content, cell.changes, f"experiments.{name}")
                where = f"params.yaml: experiments.{name} {cell.at}"
                checked = check.check_content(new, where)
                if results.read(cell.key) is None:  # DVC takes its time
                    untracked_files.check_tracked(checked, cell.changes, where)
                    overrides.check_set_params(cell.changes, where)
                found[cell.key] = cell
    return list(found.values())


def main() -> int:
    given = arguments()
    console = Console(sys.stdout)
    check.check()
    dvc_queue.check_clone_path(Path.cwd())
    asked = wanted(given.names)
    # What runs share is made once, before they are queued.
    for command in ([sys.executable, "-m", "delta", "repair-dvc"], ["dvc", "repro"]):
        if subprocess.run(command, check=False).returncode:
            return 1
    missing = [cell for cell in asked if results.read(cell.key) is None]
    console.print(f"{len(asked)} runs, {len(asked) - len(missing)} of them done")
    failed = dvc_queue.run(missing, given.jobs, console.print)
    if missing and subprocess.run(["dvc", "repro", "report"], check=False).returncode:
        return 1
    return 1 if failed else 0


def start() -> None:
    exit.run(
        main,
        interrupted="stopped watching; the queue goes on (`dvc queue stop --kill` ends it), and "
        "the same command goes on from here",
    )
