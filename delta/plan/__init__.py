"""Estimate the requests, time, memory, disk and cost of a run before it starts."""

from collections.abc import Callable

from delta.check import Params
from delta.core.errors import InputError
from delta.plan import costs, render, resources
from delta.plan.costs import Gpu
from delta.plan.dvc_state import UP_TO_DATE, Stage
from delta.plan.model_sizes import sizes
from delta.plan.pending import pending_requests
from delta.plan.render import wrap
from delta.plan.requests import Workspace, count_requests
from delta.plan.resources import AskHub, InCache


def plan(
    params: Params,
    read_stages: Callable[[], list[Stage]],
    ask_hub: AskHub,
    in_cache: InCache,
    offline: bool,
    gpu: Gpu,
) -> list[str]:
    """Return the lines of the plan. It lists what could not be checked. Needs no network."""
    stages, not_checked = [], []
    try:
        stages = read_stages()
    except InputError as error:
        not_checked.append(f"which stages are up to date, so all count as to be run: {error}")
    if stages and all(stage.state == UP_TO_DATE for stage in stages):
        return [f"Nothing to do: all {len(stages)} stages are up to date."]
    workspace = Workspace(params, {stage.name: stage for stage in stages})
    pending, known = list(pending_requests(workspace)), sizes(params)
    groups = [count_requests(workspace, item, 1 / len(pending)) for item in pending]
    trains = not workspace.settled("train")
    asked = list(dict.fromkeys(group.model for group in groups if group.to_ask != 0))
    sources = [s for s in resources.sources(params) if not workspace.settled(s.stage)]
    served, bill = render.server_section(workspace, groups)
    sections = [
        resources.memory(params, asked, known, gpu, trains),
        resources.disk(workspace, groups, known, trains),
        resources.source_section(resources.check_sources(sources, ask_hub, in_cache, offline)),
    ]
    engine_speed = costs.speed(gpu, costs.engine_uses_gpu(params))
    requests, asking_hours = render.request_lines(workspace, groups, known, engine_speed)
    training, training_hours = list[str](), "0"
    if trains:
        training_speed = costs.speed(gpu, costs.training_uses_gpu(params))
        training, training_hours = render.training_lines(workspace, known, training_speed)
    not_checked += workspace.notes
    not_checked += [note for section in (served, *sections) for note in section.not_checked]
    blocks = [block for section in (served, *sections) for block in section.blocks]
    paragraphs = [
        render.stage_lines(stages) if stages else [],
        requests,
        training,
        served.lines,
        [f"In all: {asking_hours} of answers and {training_hours} of training{bill}."],
        *(section.lines for section in sections),
        render.assumption_lines(params, gpu),
        _listed("Not checked", not_checked),
        _listed("Blocking", blocks) or ["Nothing that was checked blocks the run."],
    ]
    return "\n\n".join("\n".join(lines) for lines in paragraphs if lines).split("\n")


def _listed(title: str, notes: list[str]) -> list[str]:
    lines = [line for note in dict.fromkeys(notes) for line in wrap(note)]
    return [title, *lines] if lines else []
