"""Run tables, figures or controls of the paper as DVC experiments and collect their results.

Each run writes a result to metrics/runs/. Results that came with the repository are kept, unless
`--force` repeats them. An experiment is a grid of parameters under
`experiments` in params.yaml. A run that several experiments share is run once.
"""

import argparse
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import yaml

from delta import check
from delta.check import Params
from delta.cli import repair_dvc, repro
from delta.cli.command_line import number
from delta.core import params
from delta.core.console import Console
from delta.core.errors import InputError
from delta.core.git import is_tracked
from delta.experiments import origin, results, run
from delta.experiments.changes import check_changes
from delta.experiments.grid import Changes, ExperimentParams, RunSpec, expand_grid, with_changes
from delta.plan.availability import external_sources

DVC_FILE = Path("dvc.yaml")
ALL = "all"  # in place of names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", help="entries of `experiments` in params.yaml, or all")
    jobs = partial(number, least=1)
    parser.add_argument("--jobs", type=jobs, default=1, help="runs side by side (default: 1)")
    repeat = "run here what came with the repository; what was run here is not repeated"
    parser.add_argument("--force", action="store_true", help=repeat)


def distinct_runs(names: list[str], force: bool = False) -> list[RunSpec]:
    """Return the distinct runs of the experiments, each with its whole params.yaml checked.

    Raises InputError for an unknown name, and for a run with impossible parameters or missing data.
    With `force`, runs that have a result may run again.
    """
    content = params.read_all()
    declared = params.load_sections("experiments", ExperimentParams)
    if not names:
        raise InputError(f"no experiment is named; expected all, {', '.join(declared)}")
    by_key: dict[str, RunSpec] = {}
    for name in names:
        if name not in declared and name != ALL:
            raise InputError(f"experiment {name!r}; expected all, {', '.join(declared)}")
    for name in declared if ALL in names else names:
        for spec in expand_grid(content, name, declared[name]):
            if spec.key in by_key:
                continue
            by_key[spec.key] = spec
            where = f"params.yaml: experiments.{name} {spec.axes}"
            changed = with_changes(content, spec.changes, f"experiments.{name}")
            run_params = check.check_content(changed, where)
            if force or results.read(spec.key) is None:
                check_tracked(run_params, spec.changes, where)
                check_changes(spec.changes, where)
    return list(by_key.values())


def check_tracked(params: Params, changes: Changes, where: str) -> None:
    """Raise InputError where a run with `changes` reads a relative path that Git does not track.

    `params` are those of the run. A stage with unchanged parameters does not run again, so its
    files are not needed. `where` begins the message.
    """
    for source in external_sources(params):
        path = Path(source.name)
        if source.kind != "path" or path.is_absolute() or is_tracked(path):
            continue
        if _is_rerun(source.stage, changes):
            raise InputError(
                f"{where}: it reads {source.name!r} ({source.key}), which is not in Git, and a "
                f"run has only what Git tracks; expected `git add {source.name}`, or an "
                "absolute path"
            )


def _is_rerun(stage: str, changes: Iterable[str]) -> bool:
    return any(
        f"{parameter}.".startswith(f"{changed}.") or changed.startswith(f"{parameter}.")
        for parameter in _parameters(stage)
        for changed in changes
    )


def _parameters(stage: str) -> list[str]:
    """Return the dotted parameters of a stage ("problems") or of an item ("fetch@MODEL")."""
    name, _, item = stage.partition("@")
    content = yaml.safe_load(DVC_FILE.read_text(encoding="utf-8"))["stages"][name]
    return [entry.replace("${key}", item) for entry in content.get("do", content)["params"]]


def main(options: argparse.Namespace) -> int:
    console = Console(sys.stdout)
    all_params = check.check()
    selected = distinct_runs(options.names, options.force)
    # Outputs that the runs share are computed once, before them.
    repair_dvc.main(options)
    if repro.run_stages(all_params):
        return 1
    runs = origin.find_runs(selected)
    can_repeat = runs.made_elsewhere and not options.force
    hint = "; FORCE=1 (or --force) runs them here" if can_repeat else ""
    console.print(runs.text() + hint)
    repeated = {result.key for result in runs.made_elsewhere} if options.force else set()
    to_run = [spec for spec in selected if spec in runs.missing or spec.key in repeated]
    failed = run.run_experiments(to_run, options.jobs, console.print)
    if to_run and repro.run_command("dvc", "repro", "report"):
        return 1
    for name in names_with_runs(options.names):
        console.print(f"as a table: {repro.python()} -m delta results {name}")
    return 1 if failed else 0


def names_with_runs(names: list[str]) -> list[str]:
    """Return those of the experiments that have runs; "NAME" in place of all."""
    if ALL in names:
        return ["NAME"]
    experiments = params.load_sections("experiments", ExperimentParams)
    return [name for name in names if experiments[name].vary]
