"""Find what would stop a run on GPUs, before anything is downloaded."""

import shutil
from collections.abc import Sequence

from delta.check import Params
from delta.plan.availability import REFUSED, AskHub, InCache, check_sources, external_sources
from delta.plan.costs import uses_gpu
from delta.plan.dvc_state import Stage
from delta.plan.machine import check_machine, needs
from delta.plan.model_sizes import GIB, Sizes, sizes
from delta.plan.pending import pending_requests
from delta.plan.requests import Workspace
from delta.plan.resources import disk_bytes


def obstacles(
    params: Params, stages: Sequence[Stage], ask_hub: AskHub, in_cache: InCache, offline: bool
) -> list[str]:
    """Return a line for each, with its remedy; none for a profile without GPUs.

    They are what `plan` lists as blocking, without estimates of memory and of replies on disk.
    """
    if not uses_gpu(params):
        return []
    workspace, known = Workspace(params, {stage.name: stage for stage in stages}), sizes(params)
    models = list(dict.fromkeys(item.group.model for item in pending_requests(workspace)))
    trains = not workspace.settled("train")
    found = check_machine(params, needs(params, models, trains, known[params.train.base]))
    sources = [s for s in external_sources(params) if not workspace.settled(s.stage)]
    answers = check_sources(sources, ask_hub, in_cache, offline)
    return [
        *(str(check) for check in found if check.remedy),
        *(
            f"{source.key} ({source.name}): {answer.message}"
            for source, answer in answers.items()
            if answer.state == REFUSED
        ),
        *_disk(workspace, known, trains),
    ]


def _disk(workspace: Workspace, known: Sizes, trains: bool) -> list[str]:
    needed = sum(number for _, number in disk_bytes(workspace, [], known, trains))
    free = shutil.disk_usage(".").free
    if needed <= free:
        return []
    return [
        f"disk: {free / GIB:,.0f} GiB free; expected {needed / GIB:,.0f} GiB for weights and "
        "checkpoints; a larger disk, or `cache.dir` of DVC and $HF_HOME on another"
    ]
