"""Render what a run does: stages, requests, training, bills and hours."""

import os
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from delta.check import Params
from delta.core.errors import InputError
from delta.core.params import PARAMS_FILE
from delta.plan.costs import (
    Cost,
    TrainingCost,
    WallTime,
    engine_uses_gpu,
    server_of,
    uses_gpu,
)
from delta.plan.dvc_state import STATES, Stage
from delta.plan.experiment_hours import ExperimentHours
from delta.plan.hours import NodeHours, RunStep
from delta.plan.requests import AT_MOST, BASES, ESTIMATE, EXACT, UNKNOWN
from delta.plan.section import (
    WIDTH,
    Section,
    abbreviate,
    align_columns,
    format_hours,
    format_sum,
    format_whole,
    wrap,
)

MAX_CHANGES = 2  # named per stage
NAME_WIDTH = 30
MEANINGS = {
    EXACT: "every request was looked up in the cache, or it has none of these",
    AT_MOST: "equal requests are asked once, and were not looked for",
    ESTIMATE: "from params.yaml and today's tables; a stage before it has yet to run, or more is "
    "cached than a plan reads",
    UNKNOWN: "only the rows tell; `dvc repro questions problems` reads them without a GPU",
}
REQUEST_HEADER = ("", "requests", "cached", "to ask", "number", "read", "write", "at most")
SERVER_HEADER = ("", "asked at", "requests", "cached", "to ask", "number", "USD", "at most")


def stage_section(stages: Sequence[Stage]) -> Section:
    """Return a line per stage of dvc.yaml: items by state, and what changed."""
    if not stages:
        return Section()
    by_stage: dict[str, list[Stage]] = {}
    for stage in stages:
        by_stage.setdefault(stage.name.partition("@")[0], []).append(stage)
    rows = [[name, *_by_state(items), _changes(items)] for name, items in by_stage.items()]
    rows.append(["all", *_by_state(stages), ""])
    lines = ["Stages", *align_columns(["", *STATES, "changed"], rows)]
    lines += wrap("waits: runs unless the stages before it give the same results as before.")
    return Section(lines)


def _by_state(stages: Sequence[Stage]) -> list[str]:
    states = Counter(stage.state for stage in stages)
    return [str(states[state] or "-") for state in STATES]


def _changes(items: Sequence[Stage]) -> str:
    """Name what changed, parameters before files of code."""
    num_new = sum(item.never_ran for item in items)
    changed = dict.fromkeys(e for item in items if not item.never_ran for e in item.changed)
    entries = sorted(changed, key=lambda entry: ":" not in entry)
    words = [f"{num_new} never run"] if num_new else []
    words += [entry.removeprefix(f"{PARAMS_FILE}:") for entry in entries[:MAX_CHANGES]]
    if len(entries) > MAX_CHANGES:
        words.append(f"{len(entries) - MAX_CHANGES} more")
    return ", ".join(words)


def _count_cells(costs: Sequence[Cost]) -> list[str]:
    """Return requests, cached ones, those to ask, and the least certain basis of the numbers."""
    groups = [cost.group for cost in costs]
    return [
        format_sum((group.total for group in groups), format_whole),
        format_whole(sum(group.cached for group in groups)),
        format_sum((group.to_ask for group in groups), format_whole),
        max((group.basis for group in groups), key=BASES.index),
    ]


def _bill_cells(costs: Sequence[Cost]) -> list[str]:
    return [
        format_sum((cost.bill and cost.bill.usd for cost in costs), "{:,.2f}".format),
        format_sum((cost.bill and cost.bill.at_most for cost in costs), "{:,.2f}".format),
    ]


def request_section(params: Params, costs: Sequence[Cost]) -> Section:
    """Return a line per generator or evaluated model, of benchmarks the sum."""
    if not costs:
        return Section(["Requests", "  none: no stage that asks a model is to run"])
    rows = []
    for stage, of_stage in groupby(costs, lambda cost: cost.group.stage):
        parts: dict[str, list[Cost]] = {}
        for cost in of_stage:
            name = cost.group.name
            name = name.partition(" ")[0] if stage == "evaluate" else name
            parts.setdefault(f"{stage} {name}", []).append(cost)
        if len(parts) > 1:
            parts[f"{stage}, all"] = [cost for part in parts.values() for cost in part]
        rows += [_request_row(name, part) for name, part in parts.items()]
    rows.append(_request_row("all", costs))
    header = [*REQUEST_HEADER, hours_unit(engine_uses_gpu(params))]
    lines = ["Requests and tokens", *align_columns(header, rows)]
    groups = [cost.group for cost in costs]
    for basis in BASES:
        if any(group.basis == basis for group in groups):
            lines += wrap(f"{basis}: {MEANINGS[basis]}.")
    if measured := sum(group.reply_tokens is not None for group in groups):
        lines += wrap(
            f"Length of replies: that of cached replies for {measured} of {len(groups)} items, "
            "else assumed."
        )
    return Section(lines)


def _request_row(name: str, costs: Sequence[Cost]) -> list[str]:
    tokens = [cost.tokens for cost in costs]
    return [
        name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…",
        *_count_cells(costs),
        format_sum((count and count.read for count in tokens), abbreviate),
        format_sum((count and count.written for count in tokens), abbreviate),
        format_sum((count and count.at_most for count in tokens), abbreviate),
        format_sum((cost.hours for cost in costs), format_hours),
    ]


def sft_section(params: Params, costs: Mapping[str, TrainingCost]) -> Section:
    """Return a line on the training of each model of `sft_models`; nothing where there is none."""
    rows = [
        [
            f"sft {name}"[:NAME_WIDTH],
            format_whole(cost.pairs or 0),
            cost.basis,
            abbreviate(cost.tokens),
            format_sum([cost.hours], format_hours),
        ]
        for name, cost in costs.items()
    ]
    if not rows:
        return Section()
    header = ("", "solutions", "number", "tokens", hours_unit(uses_gpu(params)))
    return Section(["Models trained on worked solutions", *align_columns(header, rows)])


def training_section(params: Params, cost: TrainingCost | None) -> Section:
    """Return the lines on training for all epochs; nothing where there is none."""
    train = params.train
    if cost is None:
        return Section()
    if cost.pairs is None:
        text = f"  {train.method}: how many pairs there will be is not known"
        return Section(["Training", text])
    row = [
        f"train {train.method}",
        format_whole(cost.pairs),
        cost.basis,
        f"{train.epochs(cost.pairs):.3g}",
        abbreviate(cost.side),
        abbreviate(cost.tokens),
        format_sum([cost.hours], format_hours),
    ]
    unit = hours_unit(uses_gpu(params))
    header = ("", "pairs", "number", "epochs", "tokens a side", "tokens", unit)
    stops = train.early_stopping is not None and train.method != "sft"  # SFT runs to its end
    early = ["  less where the loss converges earlier"] if stops else []
    return Section(["Training", *align_columns(header, [row]), *early])


def hours_unit(on_gpu: bool) -> str:
    """Return the unit of hours in a table."""
    return "GPU h" if on_gpu else "CPU h"


def total_section(
    params: Params, costs: Sequence[Cost], trainings: Sequence[TrainingCost]
) -> Section:
    """Return the hours of all requests and of training, and the bill of all servers."""
    asking, spent, bill = "0", "0", ""
    if costs:
        hours = format_sum((cost.hours for cost in costs), format_hours)
        asking = f"{hours} {hours_unit(engine_uses_gpu(params))}"
    if trainings:
        spent = "?"
        if all(training.pairs is not None for training in trainings):
            hours = format_sum((training.hours for training in trainings), format_hours)
            spent = f"{hours} {hours_unit(uses_gpu(params))}"
    if served := _served(params, costs):
        usd, at_most = _bill_cells(served)
        bill = f", {usd} USD to servers (at most {at_most})"
    return Section([f"In all: {asking} of answers and {spent} of training{bill}."])


def wall_time_section(time: WallTime | None) -> Section:
    """Return the estimated time of the whole run; nothing where it is not known."""
    if time is None:
        return Section()
    text = (
        f"Wall time: about {60 * time.hours:,.0f} min on two CPU cores (here: "
        f"{len(os.sched_getaffinity(0))}), an estimate: these hours, {time.engines} starts of an "
        f"engine, and {time.others} other stages, by the assumptions below."
    )
    return Section(textwrap.wrap(text, WIDTH))


def _served(params: Params, costs: Sequence[Cost]) -> list[Cost]:
    return [cost for cost in costs if params.serving[cost.group.model].server is not None]


def server_section(params: Params, costs: Sequence[Cost]) -> Section:
    """Return requests and bill by model; nothing without servers."""
    served = _served(params, costs)
    if not served:
        return Section()
    section, rows = Section(), []
    by_model: dict[str, list[Cost]] = {}
    for cost in costs:
        by_model.setdefault(cost.group.model, []).append(cost)
    asked_servers: dict[str, None] = {}
    for model, part in by_model.items():
        if params.serving[model].server is None:
            rows.append([model[:20], "this run's engine", *_count_cells(part), "-", "-"])
            continue
        server, price = server_of(params, model)
        rows.append([model[:20], server[:20], *_count_cells(part), *_bill_cells(part)])
        if any(cost.group.to_ask != 0 for cost in part):
            asked_servers[server] = None
            if price is None:
                key = f"engine.servers.{server}.models.{model}"
                section.not_checked.append(f"what {model} costs: {key} has no price")
    if len({cost.group.model for cost in served}) > 1:
        rows.append(["all servers", "", "", "", "", "", *_bill_cells(served)])
    section.lines += [
        "Requests by model",
        *align_columns(SERVER_HEADER, rows),
        *wrap(
            "USD: by the prices under engine.servers; a prompt counts as often as it is "
            "sent, and no discount is taken off. At most: every reply as long as it may be. "
            "Replies that hold no vote or verdict are asked for again, which comes on top."
        ),
    ]
    for server in asked_servers:
        try:
            params.engine.servers[server].api_key()
        except InputError as error:
            section.blocks.append(str(error))
    return section


def hours_section(
    params: Params, hours: NodeHours | None, lower: Sequence[str], heading: str
) -> Section:
    """Return the hours on the clock, billed and used; nothing where they are not known."""
    if not uses_gpu(params):
        return Section()
    if hours is None:
        unknown = "hours on the clock and billed: some of the numbers above are not known"
        return Section(not_checked=[unknown])
    parts: dict[str, list[RunStep]] = {}
    for step in hours.steps:
        parts.setdefault(step.name, []).append(step)
    rows = [[name, *_hour_cells(steps, hours.gpus), _busy(steps)] for name, steps in parts.items()]
    rows.append(["all", *_hour_cells(hours.steps, hours.gpus), ""])
    share = hours.used / hours.billed if hours.billed else 0
    lines = [
        *textwrap.wrap(heading, WIDTH),
        *align_columns(("", "wall h", "billed GPU h", "used GPU h", "GPUs busy"), rows),
        *wrap(
            f"{hours.wall:,.1f} hours ({hours.wall / 24:.1f} days), {hours.billed:,.0f} GPU hours "
            f"billed, {hours.used:,.0f} used ({share:.0%})."
        ),
    ]
    for text in lower:
        lines += wrap(f"It would be less with {text}.")
    blocks = [
        f"{step.model or step.name} needs {step.busy} GPUs, the node has {hours.gpus} (--gpus); "
        "its hours are not counted"
        for step in hours.lacking
    ]
    return Section(lines, blocks)


def experiment_section(experiments: ExperimentHours | None, gpus: int) -> Section:
    """Return the hours of all experiments; nothing where there are none or they are not known."""
    if experiments is None or not experiments.trainings:
        return Section()
    number, wall = experiments
    text = (
        f"Experiments: {number} training{'s' * (number > 1)} × about {wall / number:.2f} h wall = "
        f"{wall:,.1f} h ({wall / 24:.1f} days), {gpus * wall:,.0f} GPU hours billed: the training "
        "and the evaluation of a policy each, whether or not they were run."
    )
    return Section(textwrap.wrap(text, WIDTH))


def _hour_cells(steps: Sequence[RunStep], gpus: int) -> list[str]:
    wall = sum(step.hours for step in steps)
    return [
        format_hours(wall),
        format_hours(wall * gpus),
        format_hours(sum(step.used for step in steps)),
    ]


def _busy(steps: Sequence[RunStep]) -> str:
    numbers = sorted({step.busy for step in steps})
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
