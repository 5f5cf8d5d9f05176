"""Render what a run needs: memory, disk, sources, and the assumptions of the plan."""

import textwrap
from collections.abc import Iterable, Sequence

from delta.check import Params
from delta.inference.config import ServingParams
from delta.plan.assumptions import assumptions
from delta.plan.availability import FOUND, NOT_CHECKED, Availability, ExternalSource, refusals
from delta.plan.costs import Cost, uses_gpu
from delta.plan.disk import HERE, file_systems, shortages, written
from delta.plan.machine import Check
from delta.plan.model_sizes import GIB, Sizes
from delta.plan.requests import Workspace
from delta.plan.resources import (
    models_to_fetch,
    serving_fit,
    training_fit,
)
from delta.plan.section import WIDTH, Section, align_columns, wrap
from delta.plan.speeds import Gpu
from delta.plan.training_memory import least_bytes


def memory_section(
    params: Params, models: Iterable[str], sizes: Sizes, gpu: Gpu, trains: bool
) -> Section:
    """Return the memory of every model that will be called, and of training."""
    section, rows = Section(), []
    train, vllm = params.train, params.engine.vllm
    uses = [(name, "answers") for name in models if params.serving[name].server is None]
    if trains:
        uses.append((train.base, f"train {train.method}"))
    for name, use in uses:
        size, serving = sizes[name], params.serving[name]
        if size is None:
            section.not_checked.append(f"memory for {name}: its size is known once it is fetched")
            continue
        assert isinstance(serving, ServingParams)  # its weights are here
        if use == "answers":
            fit, gpus = serving_fit(serving, size, gpu, vllm), serving.tensor_parallel_size
            each = size.weights / gpus
        else:
            on = gpu if uses_gpu(params) else None
            fit, gpus = training_fit(train, size, on), train.num_processes
            each = least_bytes(train, size)
        parameters = f"{size.parameters / 1e9:.3g}G"
        rows.append([name[:30], use, parameters, str(gpus), f"{each / GIB:.1f}", fit.message])
        if not fit.fits:
            section.blocks.append(f"{name} ({use}) {fit.message}")
    if rows:
        header = ("", "use", "parameters", "GPUs", "GiB each", "")
        section.lines += ["Memory", *align_columns(header, rows)]
    return section


def disk_section(
    workspace: Workspace, costs: Sequence[Cost], sizes: Sizes, trains: bool
) -> Section:
    """Return what will be written, and the free space of each file system that takes a part."""
    found = list(written(workspace, costs, sizes, trains))
    rows = [(str(row), row.bytes) for row in found]
    for folder, needed, free in file_systems(found):
        where = "here" if folder == HERE else f"on {str(folder)[-60:]}"
        rows += [(f"all {where}", needed), (f"free {where}", free)]
    cells = [[what, f"{size / GIB:,.1f}"] for what, size in rows]
    section = Section(["Disk", *align_columns(("", "GiB"), cells)], shortages(found))
    section.not_checked += [
        f"disk for {name}: its size is known once it is fetched"
        for name in models_to_fetch(workspace)
        if sizes[name] is None
    ]
    return section


def source_section(answers: dict[ExternalSource, Availability]) -> Section:
    """Return the available sources. Refused ones block the run."""
    section = Section(blocks=refusals(answers))
    by_answer: dict[Availability, dict[str, None]] = {}
    for source, answer in answers.items():
        by_answer.setdefault(answer, {})[source.name] = None
    for answer, names in by_answer.items():
        line = f"{answer.message}: {', '.join(names)}"
        if answer.state == FOUND:
            section.lines += wrap(line)
        elif answer.state == NOT_CHECKED:
            section.not_checked.append(f"sources: {line}")
    if section.lines:
        section.lines.insert(0, "Sources")
    return section


def machine_section(checks: Sequence[Check]) -> Section:
    """Return what this machine has; what it lacks blocks the run."""
    section = Section(blocks=[str(check) for check in checks if check.remedy])
    for check in checks:
        if not check.remedy:
            section.lines += wrap(str(check))
    if section.lines:
        section.lines.insert(0, "Machine")
    return section


def assumption_section(params: Params, gpu: Gpu, is_here: bool) -> Section:
    """Return the assumptions. `is_here`: `gpu` is that of this machine."""
    machine = (
        f"GPUs of {gpu.gib:.3g} GiB, {gpu.tbps:g} TB/s, {gpu.tflops:g} TFLOP/s in 16 bits and "
        f"{gpu.float32_tflops:g} in 32 ({'this' if is_here else 'not this'} machine's)"
    )
    if not uses_gpu(params):
        machine = "two CPU cores"
    lines = textwrap.wrap(f"Assumed, on {machine}", WIDTH)
    for assumption in assumptions(uses_gpu(params)):
        lines += wrap(f"{assumption.value:,g} {assumption.reason}")
    return Section(lines)
