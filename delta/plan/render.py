"""Render the plan as plain text of at most 100 columns."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from delta.check import Params, has_table_pairs
from delta.core import paths
from delta.core.errors import InputError
from delta.core.params import PARAMS_FILE
from delta.core.schemas import SELECTED, SIDES, TRACE
from delta.inference.engine import Price
from delta.plan import costs
from delta.plan.costs import Bill, Gpu, Speed, Tokens
from delta.plan.dvc_state import STATES, Stage
from delta.plan.model_sizes import Size, Sizes
from delta.plan.pending import expected_problems
from delta.plan.requests import (
    AT_MOST,
    ESTIMATE,
    EXACT,
    UNKNOWN,
    RequestGroup,
    Workspace,
    read_current_table,
)

WIDTH = 100
MAX_CHANGES = 2  # named per stage
NAME_WIDTH = 30
MEANINGS = {  # the most certain first
    EXACT: "every request was looked up in the cache, or it has none of these",
    AT_MOST: "equal requests are asked once, and were not looked for",
    ESTIMATE: "from params.yaml and today's tables; a stage before it has yet to run, or more is "
    "cached than a plan reads",
    UNKNOWN: "only the rows tell; `dvc repro questions problems` reads them without a GPU",
}
BASES = list(MEANINGS)
REQUEST_HEADER = ("", "requests", "cached", "to ask", "number", "read", "write", "at most")
SERVER_HEADER = ("", "asked at", "requests", "cached", "to ask", "number", "USD", "at most")


@dataclass
class Section:
    lines: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)  # what would stop the run
    not_checked: list[str] = field(default_factory=list)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Align the first column and a last column of words to the left, others to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    is_text = any(" " in line[-1] for line in lines[1:])
    texts = []
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        cells[0] = line[0].ljust(widths[0])
        if is_text:
            cells[-1] = line[-1]
        texts.append(("  " + "  ".join(cells)).rstrip()[:WIDTH])
    return texts


def short(number: float) -> str:
    """Return about three digits and a unit: 12,345,678 is 12.3M."""
    for letter, unit in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= unit:
            return f"{number / unit:.{0 if number >= 100 * unit else 1}f}{letter}"
    return f"{number:.0f}"


def hours(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.2f}"


def wrap(text: str) -> list[str]:
    """Return lines of at most WIDTH characters; longer words are not split."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def stage_lines(stages: Sequence[Stage]) -> list[str]:
    """Return a line per stage of dvc.yaml: items by state, and what changed."""
    by_stage: dict[str, list[Stage]] = {}
    for stage in stages:
        by_stage.setdefault(stage.name.partition("@")[0], []).append(stage)
    rows = [[name, *_by_state(items), _changes(items)] for name, items in by_stage.items()]
    rows.append(["all", *_by_state(stages), ""])
    return [
        "Stages",
        *table(["", *STATES, "changed"], rows),
        *wrap("waits: runs unless the stages before it give the same results as before."),
    ]


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


class Cost(NamedTuple):
    """The cost of one group of requests or of several."""

    total: int  # requests, of the groups whose number is known
    kept: int
    basis: str
    tokens: Tokens
    hours: float  # of the groups whose number and model size are known
    is_timed: bool  # whether `hours` includes every group
    bill: Bill  # of the groups at servers whose number and price are known
    is_billed: bool  # whether `bill` includes every group

    @property
    def is_asked(self) -> bool:
        return self.basis == UNKNOWN or self.kept < self.total

    def count_cells(self) -> list[str]:
        """Return requests, cached ones, those to ask, and the basis of the numbers."""
        known = self.basis != UNKNOWN
        total = at_least(f"{self.total:,}", self.total, known)
        to_ask = at_least(f"{self.total - self.kept:,}", self.total, known)
        return [total, f"{self.kept:,}", to_ask, self.basis]

    def bill_cells(self) -> list[str]:
        return [at_least(f"{usd:,.2f}", usd, self.is_billed) for usd in self.bill]


def at_least(text: str, known_part: float, is_complete: bool) -> str:
    """Mark a sum of which a part is unknown."""
    if is_complete:
        return text
    return f"{text}+" if known_part else "?"


def cost_of(params: Params, group: RequestGroup, size: Size | None, speed: Speed) -> Cost:
    coverage, tokens = group.coverage, costs.tokens(params, group)
    hours, is_timed, bill, is_billed = 0.0, group.to_ask == 0, Bill(0, 0), group.to_ask == 0
    if params.serving[group.model].endpoint is not None:
        is_timed, price = True, _server(params, group.model)[1]  # takes no GPU hours
        if price is not None:
            bill = costs.bill(costs.billed_tokens(params, group), price)
            is_billed = coverage.basis != UNKNOWN
    elif size is not None and group.to_ask:
        hours, is_timed = costs.asking_hours(tokens, size, speed), True
    total = coverage.total or 0
    return Cost(total, coverage.kept, coverage.basis, tokens, hours, is_timed, bill, is_billed)


def _server(params: Params, model: str) -> tuple[str, Price | None]:
    """Return the name of the model's server, and its price there."""
    name = params.engine.endpoint.server_of(model)
    return name, params.engine.endpoint.servers[name].models[model]


def sum_costs(parts: Sequence[Cost]) -> Cost:
    """Return the sum of the known parts, with the least certain basis."""
    return Cost(
        sum(part.total for part in parts),
        sum(part.kept for part in parts),
        max((part.basis for part in parts), key=BASES.index),
        Tokens(*map(sum, zip(*(part.tokens for part in parts), strict=True))),
        sum(part.hours for part in parts),
        all(part.is_timed for part in parts),
        Bill(*map(sum, zip(*(part.bill for part in parts), strict=True))),
        all(part.is_billed for part in parts),
    )


def request_lines(
    workspace: Workspace, groups: Sequence[RequestGroup], sizes: Sizes, speed: Speed
) -> tuple[list[str], str]:
    """Return a line per generator or evaluated model, and the total hours."""
    priced = [(g, cost_of(workspace.params, g, sizes.get(g.model), speed)) for g in groups]
    rows = []
    for stage in dict.fromkeys(group.stage for group in groups):
        parts: dict[str, list[Cost]] = {}
        for group, cost in priced:
            if group.stage == stage:
                name = group.name.partition(" ")[0] if stage == "evaluate" else group.name
                parts.setdefault(f"{stage} {name}", []).append(cost)
        sums = {name: sum_costs(part) for name, part in parts.items()}
        if len(sums) > 1:
            sums[f"{stage}, all"] = sum_costs(list(sums.values()))
        rows += [_request_row(name, cost) for name, cost in sums.items()]
    if not rows:
        return ["Requests", "  none: no stage that asks a model is to run"], "0"
    rows.append(_request_row("all", sum_costs([cost for _, cost in priced])))
    unit = "GPU h" if costs.engine_uses_gpu(workspace.params) else "CPU h"
    lines = ["Requests and tokens", *table([*REQUEST_HEADER, unit], rows)]
    bases = {cost.basis for _, cost in priced}
    for basis in BASES:
        lines += wrap(f"{basis}: {MEANINGS[basis]}.") if basis in bases else []
    if measured := sum(group.coverage.reply_tokens is not None for group in groups):
        lines += wrap(
            f"Length of replies: that of cached replies for {measured} of {len(groups)} items, "
            "else assumed."
        )
    return lines, f"{rows[-1][-1]} {unit}"


def _request_row(name: str, cost: Cost) -> list[str]:
    known = cost.basis != UNKNOWN
    return [
        name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…",
        *cost.count_cells(),
        *(at_least(short(number), cost.total, known) for number in cost.tokens),
        at_least(hours(cost.hours), cost.hours, cost.is_timed),
    ]


def training_lines(workspace: Workspace, sizes: Sizes, speed: Speed) -> tuple[list[str], str]:
    """Return the lines on training for all epochs, and its hours."""
    train = workspace.params.train
    pairs, basis = pairs_to_train(workspace)
    if pairs is None:
        return ["Training", f"  {train.method}: how many pairs there will be is not known"], "?"
    side = sum(_side_tokens(workspace, name) for name in SIDES) / 2
    epoch = costs.training_tokens(train, pairs, side)
    size = sizes[train.base]
    spent = "?" if size is None else hours(costs.training_hours(train, epoch, size, speed))
    unit = "GPU h" if costs.training_uses_gpu(workspace.params) else "CPU h"
    row = [
        f"train {train.method}",
        f"{pairs:,}",
        basis,
        str(train.method_params.num_train_epochs),
        short(side),
        short(epoch * train.method_params.num_train_epochs),
        spent,
    ]
    header = ("", "pairs", "number", "epochs", "tokens a side", "tokens", unit)
    early = [] if train.early_stopping is None else ["  less where the loss converges earlier"]
    return ["Training", *table(header, [row]), *early], f"{spent} {unit}"


def pairs_to_train(workspace: Workspace) -> tuple[int | None, str]:
    params = workspace.params
    if workspace.settled("select"):
        selected = read_current_table(paths.SELECTED, SELECTED)
        if selected is not None:
            return selected.filter("selected").height, EXACT
    if params.selector.k is not None:
        return params.selector.k, EXACT
    problems = params.pairing.problems or expected_problems(params.problems)
    if has_table_pairs(params) or problems is None:
        return None, UNKNOWN
    return problems * params.pairing.per_problem, AT_MOST


def _side_tokens(workspace: Workspace, side: str) -> float:
    """Return the mean tokens of prompt and completion, from today's traces if they will stay."""
    pairing = workspace.params.pairing
    generator = pairing.chosen if side == "chosen" else pairing.rejected
    traces = read_current_table(paths.traces(generator), TRACE, "text")
    if traces is not None and workspace.settled(f"generate@{generator}"):
        tokens = traces.select("prompt_tokens", "completion_tokens").drop_nulls()
        if tokens.height:
            return float(tokens.sum_horizontal().sum()) / tokens.height
    return costs.PROBLEM_PROMPT.value + costs.trace_tokens(workspace.params, generator)


def server_section(workspace: Workspace, groups: Sequence[RequestGroup]) -> tuple[Section, str]:
    """Return requests and bill by model, and the total in words; both empty without servers."""
    params, by_model = workspace.params, dict[str, Cost]()
    for model in dict.fromkeys(group.model for group in groups):
        own = [group for group in groups if group.model == model]
        no_speed = Speed(1, 1, 1)  # hours are in the table of requests
        by_model[model] = sum_costs([cost_of(params, group, None, no_speed) for group in own])
    served = [model for model in by_model if params.serving[model].endpoint is not None]
    if not served:
        return Section(), ""
    rows, section = [], Section()
    for model, cost in by_model.items():
        server, bill = "this run's engine", ["-", "-"]
        if model in served:
            server, bill = _server(params, model)[0], cost.bill_cells()
        rows.append([model[:20], server[:20], *cost.count_cells(), *bill])
    total = sum_costs([by_model[model] for model in served]).bill_cells()
    if len(served) > 1:
        rows.append(["all servers", "", "", "", "", "", *total])
    section.lines += [
        "Requests by model",
        *table(SERVER_HEADER, rows),
        *wrap(
            "USD: by the prices under engine.endpoint.servers; a prompt counts as often as it is "
            "sent, and no discount is taken off. At most: every reply as long as it may be. "
            "Replies that hold no vote or verdict are asked for again, which comes on top."
        ),
    ]
    asked = {model: _server(params, model) for model in served if by_model[model].is_asked}
    section.not_checked += [
        f"what {model} costs: engine.endpoint.servers.{server}.models.{model} has no price"
        for model, (server, price) in asked.items()
        if price is None
    ]
    for server in dict.fromkeys(server for server, _ in asked.values()):
        try:
            params.engine.endpoint.servers[server].token()
        except InputError as error:
            section.blocks.append(str(error))
    return section, f", {total[0]} USD to servers (at most {total[1]})"


def assumption_lines(params: Params, gpu: Gpu) -> list[str]:
    machine = f"GPUs of {gpu.gib:g} GiB and {gpu.tflops:g} TFLOP/s"
    if not costs.uses_gpu(params):
        machine = "two CPU cores"
    lines = [f"Assumed, on {machine}"]
    for value, reason in costs.assumptions(params):
        lines += wrap(f"{value:,g} {reason}")
    return lines
