"""Find what would stop a run on GPUs, before anything is downloaded."""

from collections.abc import Sequence

from delta.check import Params
from delta.plan.availability import AskHub, InCache, check_sources, external_sources, refusals
from delta.plan.costs import uses_gpu
from delta.plan.disk import shortages, written
from delta.plan.dvc_state import Stage
from delta.plan.machine import check_machine, requirements
from delta.plan.model_sizes import sizes
from delta.plan.pending import pending_requests
from delta.plan.requests import Workspace


def obstacles(
    params: Params, stages: Sequence[Stage], ask_hub: AskHub, in_cache: InCache, offline: bool
) -> list[str]:
    """Return a line for each, with its remedy; none for a profile without GPUs.

    `plan` lists the same lines as blocking, and its estimates of memory and of replies on disk.
    """
    if not uses_gpu(params):
        return []
    workspace, known = Workspace(params, {stage.name: stage for stage in stages}), sizes(params)
    models = list(dict.fromkeys(item.group.model for item in pending_requests(workspace)))
    trains = not workspace.settled("train")
    found = check_machine(params, requirements(params, models, trains, known[params.train.base]))
    sources = [s for s in external_sources(params) if not workspace.settled(s.stage)]
    return [
        *(str(check) for check in found if check.remedy),
        *refusals(check_sources(sources, ask_hub, in_cache, offline)),
        *shortages(written(workspace, [], known, trains)),
    ]
