"""Compute and render a whole plan."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from delta.check import Params
from delta.core.errors import InputError
from delta.plan import (
    costs,
    experiment_hours,
    hours,
    machine,
    render,
    render_requirements,
    stage_seconds,
)
from delta.plan.availability import AskHub, InCache, check_sources, external_sources
from delta.plan.costs import Cost, TrainingCost
from delta.plan.dvc_state import UP_TO_DATE, Stage
from delta.plan.model_sizes import Sizes, sizes
from delta.plan.pending import pending_requests
from delta.plan.power import SeedResults
from delta.plan.render_power import power_section
from delta.plan.requests import Workspace, count_requests
from delta.plan.section import WIDTH, Section, join_sections
from delta.plan.sft_costs import sft_costs
from delta.plan.speeds import Gpu


class GpuNode(NamedTuple):
    """The GPUs that a plan computes with."""

    gpu: Gpu
    number: int | None = None  # None: as many as the profile asks for
    is_here: bool = False  # whether they are this machine's
    name: str = "GPU"
    note: str = ""  # where the GPU or its speed is assumed

    def heading(self, gpus: int) -> str:
        """Return the heading of the hours on so many of these GPUs."""
        note = f" ({self.note})" if self.note else ""
        return f"Hours on {gpus} × {self.name}{note}"


def plan(
    params: Params,
    read_stages: Callable[[], list[Stage]],
    ask_hub: AskHub,
    in_cache: InCache,
    offline: bool,
    node: GpuNode,
    configurations: Sequence[SeedResults],
) -> list[str]:
    """Return the lines of the plan. It lists what could not be checked. Needs no network.

    `configurations` are the results of several seeds of this profile's experiments.
    """
    stages, not_checked = [], []
    try:
        stages = read_stages()
    except InputError as error:
        not_checked.append(f"which stages are up to date, so all count as to be run: {error}")
    to_run = [stage for stage in stages if stage.state != UP_TO_DATE]
    if stages and not to_run:
        power = power_section(params, configurations).lines
        return [f"Nothing to do: all {len(stages)} stages are up to date.", "", *power]
    workspace = Workspace(params, {stage.name: stage for stage in stages})
    pending, known = list(pending_requests(workspace)), sizes(params)
    groups = [count_requests(workspace, item, 1 / len(pending)) for item in pending]
    requests = [
        costs.request_cost(params, group, known.get(group.model), node.gpu) for group in groups
    ]
    training = costs.training_cost(workspace, known[params.train.base], node.gpu)
    sft = sft_costs(workspace, known, node.gpu)
    trainings = [*sft.values(), *([training] if training else [])]
    trains = training is not None
    asked = list(dict.fromkeys(group.model for group in groups if group.to_ask != 0))
    sources = [s for s in external_sources(params) if not workspace.settled(s.stage)]
    answers = check_sources(sources, ask_hub, in_cache, offline)
    recorded = stage_seconds.describe(params.profile, [stage.name for stage in to_run]) or ""
    wanted = machine.requirements(params, asked, trains, known[params.train.base])
    checks = machine.check_machine(params, wanted)
    disk = render_requirements.disk_section(workspace, requests, known, trains)
    sections = [
        render.stage_section(stages),
        render.request_section(params, requests),
        render.sft_section(params, sft),
        render.training_section(params, training),
        render.server_section(params, requests),
        render.total_section(params, requests, trainings),
        render.wall_time_section(costs.wall_time(params, len(to_run), requests, trainings)),
        _hours_section(workspace, requests, training, sft, known, node),
        _experiment_section(workspace, node),
        power_section(params, configurations),
        Section(textwrap.wrap(recorded, WIDTH)),
        render_requirements.memory_section(params, asked, known, node.gpu, trains),
        _of_this_machine(params, node, disk),
        render_requirements.source_section(answers),
        _of_this_machine(params, node, render_requirements.machine_section(checks)),
        render_requirements.assumption_section(params, node.gpu, node.is_here),
    ]
    not_checked += workspace.notes
    return join_sections(sections, not_checked)


def _of_this_machine(params: Params, node: GpuNode, section: Section) -> Section:
    """Say of what is in the way that it is here, where the GPUs of the plan are not."""
    if costs.uses_gpu(params) and not node.is_here:
        section.blocks = [f"this machine: {block}" for block in section.blocks]
    return section


def _experiment_section(workspace: Workspace, node: GpuNode) -> Section:
    params = workspace.params
    if not costs.uses_gpu(params):
        return Section()
    gpus = node.number or hours.gpus_of_node(params)
    try:
        found = experiment_hours.experiment_hours(workspace, node.gpu, gpus)
    except InputError as error:  # the first run does not need them
        return Section(not_checked=[f"hours of the experiments: {error}"])
    return render.experiment_section(found, gpus)


def _hours_section(
    workspace: Workspace,
    requests: Sequence[Cost],
    training: TrainingCost | None,
    sft: Mapping[str, TrainingCost],
    known: Sizes,
    node: GpuNode,
) -> Section:
    params = workspace.params
    gpus = node.number or hours.gpus_of_node(params)
    spent = hours.node_hours(workspace, requests, training, known, gpus, sft)
    others = hours.alternatives(params, requests, known, node.gpu)
    lower = [] if spent is None else hours.what_would_lower(params, spent, others)
    return render.hours_section(params, spent, lower, node.heading(gpus))
