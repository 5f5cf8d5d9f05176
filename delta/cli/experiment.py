"""Run tables, figures or controls of the paper as DVC experiments and collect their results.

Each run writes a result to metrics/runs/. An experiment is a grid of parameters under
`experiments` in params.yaml. A run that several experiments share is run once.
"""

import argparse
import subprocess
import sys
from functools import partial

from delta import check
from delta.cli import untracked_files
from delta.cli.command_line import number
from delta.core import params
from delta.core.console import Console
from delta.core.errors import InputError
from delta.experiments import overrides, results, run
from delta.experiments.grid import Cell, ExperimentParams, cells, with_changes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", help="entries of `experiments` in params.yaml, or all")
    jobs = partial(number, least=1)
    parser.add_argument("--jobs", type=jobs, default=1, help="runs side by side (default: 1)")


def distinct_cells(names: list[str]) -> list[Cell]:
    """Return the distinct runs of the experiments, each with its whole params.yaml checked.

    Raises InputError for an unknown name, and for a run with impossible parameters or missing data.
    """
    content = params.read_all()
    declared = params.load_sections("experiments", ExperimentParams)
    if not names:
        raise InputError(f"no experiment is named; expected: all, {', '.join(declared)}")
    by_key: dict[str, Cell] = {}
    for name in declared if names == ["all"] else names:
        if name not in declared:
            raise InputError(f"experiment {name!r}; expected: all, {', '.join(declared)}")
        for cell in cells(content, name, declared[name]):
            if cell.key in by_key:
                continue
            by_key[cell.key] = cell
            where = f"params.yaml: experiments.{name} {cell.axes}"
            changed = with_changes(content, cell.changes, f"experiments.{name}")
            run_params = check.check_content(changed, where)
            if results.read(cell.key) is None:  # DVC's own check takes seconds
                untracked_files.check_tracked(run_params, cell.changes, where)
                overrides.check_set_params(cell.changes, where)
    return list(by_key.values())


def main(options: argparse.Namespace) -> int:
    console = Console(sys.stdout)
    check.check()
    selected = distinct_cells(options.names)
    # Outputs that the runs share are computed once, before them.
    for command in ([sys.executable, "-m", "delta", "repair-dvc"], ["dvc", "repro"]):
        if subprocess.run(command, check=False).returncode:
            return 1
    missing = [cell for cell in selected if results.read(cell.key) is None]
    console.print(f"{len(selected)} runs, {len(selected) - len(missing)} of them done")
    failed = run.run_cells(missing, options.jobs, console.print)
    if missing and subprocess.run(["dvc", "repro", "report"], check=False).returncode:
        return 1
    return 1 if failed else 0
