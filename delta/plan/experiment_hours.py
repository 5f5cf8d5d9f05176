"""Compute the hours of the profile's experiments: training and evaluation of a policy each."""

from collections.abc import Iterator
from typing import NamedTuple

from delta.check import Params
from delta.core import paths
from delta.core.params import validate
from delta.experiments.grid import expand_grid, with_changes
from delta.plan.costs import Cost, request_cost, training_cost
from delta.plan.dvc_state import Stage
from delta.plan.hours import node_hours
from delta.plan.model_sizes import sizes
from delta.plan.pending import pending_requests
from delta.plan.requests import Workspace, count_requests
from delta.plan.speeds import Gpu

ASKED = ("models", "sft_models", "serving", "engine", "benchmarks", "evaluation")  # of evaluation


class ExperimentHours(NamedTuple):
    """The hours of all experiments on a node."""

    trainings: int  # distinct ones
    wall: float  # of all, one after the other


def experiment_hours(workspace: Workspace, gpu: Gpu, gpus: int) -> ExperimentHours | None:
    """Return the hours of all experiments, whether or not they were run.

    Traces and votes are those of the first run, with assumed lengths. None where a part is not
    known, or does not fit the node. Raises InputError where the changes of one are not valid.
    """
    number, wall, before, asking = 0, 0.0, None, list[Cost]()
    for params in distinct_params(workspace.params):
        later, known = Workspace(params, _states(workspace, params)), sizes(params)
        asked = [getattr(params, name) for name in ASKED], params.train.base
        if asked != before:  # tables of questions are read again
            groups = [count_requests(later, p, 1.0) for p in pending_requests(later, ["evaluate"])]
            asking = [request_cost(params, group, known.get(group.model), gpu) for group in groups]
            before = asked
        training = training_cost(later, known[params.train.base], gpu)
        hours = node_hours(later, asking, training, known, gpus, {})
        if hours is None or hours.lacking:
            return None
        number, wall = number + 1, wall + hours.wall
    return ExperimentHours(number, wall)


def distinct_params(params: Params) -> Iterator[Params]:
    """Yield the parameters of each training; one that several experiments share only once."""
    content, keys = params.model_dump(warnings=False), set[str]()
    for name, experiment in params.experiments.items():
        for spec in expand_grid(content, name, experiment):
            if spec.key not in keys:
                keys.add(spec.key)
                where = f"experiments.{name}"
                yield validate(where, Params, with_changes(content, spec.changes, where))


def _states(workspace: Workspace, params: Params) -> dict[str, Stage]:
    """Return the stages that an experiment finds up to date, and those of the questions."""
    names = [f"fetch@{name}" for name in params.models]
    names += [f"sft@{name}" for name in params.sft_models]
    names += [f"evaluate@{name}" for name in params.evaluation.models if name != paths.POLICY]
    done = {name: Stage(name, (), (), data_changed=False) for name in names}
    return done | {name: s for name, s in workspace.stages.items() if name.startswith("questions@")}
