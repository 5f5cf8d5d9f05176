"""Print the results of an experiment as a table: parameters, pairs, scores, gains over the base.

A run that has not run yet is marked "not run"; `make experiment NAME=...` runs it.
"""

import argparse

from delta.core import params, paths
from delta.core.errors import InputError
from delta.evaluation.config import EvaluatedModelParams, baselines
from delta.experiments import grid, results
from delta.experiments.grid import ExperimentParams
from delta.report.collect import read_runs
from delta.report.context import ModelScores, Run
from delta.report.experiment_table import experiment_rows, to_markdown
from delta.report.scores import read_scores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="an entry of `experiments` in params.yaml")


def main(options: argparse.Namespace) -> None:
    experiments = params.load_sections("experiments", ExperimentParams)
    specs = (
        grid.expand_grid(params.read_all(), options.name, experiments[options.name])
        if options.name in experiments
        else []
    )
    if not specs:
        names = [name for name, experiment in experiments.items() if experiment.vary]
        raise InputError(
            f"experiment {options.name!r}: it has no runs in params.yaml; expected one of "
            f"{', '.join(names)}"
        )
    base = _read_base()
    runs = read_runs(params.read_all(), specs)
    groups = {name: benchmark["group"] for name, benchmark in params.get("benchmarks").items()}
    seeds = grid.seed_axes(experiments[options.name])
    rows = experiment_rows(runs, seeds, groups, None if base is None else Run({}, base))
    print(to_markdown(rows))
    missing = sum(run.result is None for run in runs)
    if missing:
        print(f"\n{missing} of {len(runs)} have not run: make experiment NAME={options.name}")
    if base is None:
        print("\nDifferences from the base need its answers: make repro")
    elif any(group.difference is None for row in rows for group in (row.groups or {}).values()):
        print("\nA score without a difference is of other questions than the base's")


def _read_base() -> ModelScores | None:
    """Return the results of the base in this workspace; None where it has not been evaluated."""
    models = params.load_sections("evaluation.models", EvaluatedModelParams)
    (name,) = baselines(models, params.get("train.base"))
    if not paths.score(name).is_file():
        return None
    scores = read_scores([name], params.get("benchmarks"))[name]
    return ModelScores(scores, results.read_answers(name, scores))
