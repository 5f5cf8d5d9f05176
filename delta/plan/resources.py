"""Memory, disk and sources: what could stand in a run's way."""

import os
import shutil
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from delta.check import Params
from delta.core import paths
from delta.inference.engine import ServingParams
from delta.plan import assumptions, costs
from delta.plan.access import FOUND, NOT_CHECKED, REFUSED, Answer, Needed
from delta.plan.costs import GIB, Card, Fit
from delta.plan.model_sizes import BYTES, Size
from delta.plan.requests import RequestGroup
from delta.plan.text import table, wrapped
from delta.plan.workspace import Workspace

Sizes = dict[str, Size | None]
CPU_COPIES = 2  # of weights that no hub cache holds


class Part(NamedTuple):
    """Lines of the plan, and what in them stops a run."""

    lines: list[str]
    blocks: list[str]
    not_checked: list[str]


def memory(params: Params, models: Iterable[str], sizes: Sizes, card: Card, training: bool) -> Part:
    """Of every model that is to be asked, and of training."""
    rows, blocks, unknown = [], [], []
    uses = [(name, "answers") for name in models if params.serving[name].endpoint is None]
    if training:
        uses.append((params.train.base, f"train {params.train.method}"))
    for name, use in uses:
        size = sizes[name]
        if size is None:
            unknown.append(f"memory for {name}: its size is known once it is fetched")
            continue
        answers = use == "answers"
        serving = params.serving[name]
        assert isinstance(serving, ServingParams)  # its weights are here
        fit = _serving(params, serving, size, card) if answers else _training(params, size, card)
        cards = serving.tensor_parallel_size if answers else params.train.launch.processes
        each = size.weights / cards if answers else costs.training_bytes(params.train, size)
        parameters = f"{size.parameters / 1e9:.3g}G"
        rows.append([name[:30], use, parameters, str(cards), f"{each / GIB:.1f}", fit.words])
        if not fit.fits:
            blocks.append(f"{name} ({use}) {fit.words}")
    if not rows:
        return Part([], blocks, unknown)
    header = ("", "use", "parameters", "cards", "GiB each", "")
    return Part(["Memory", *table(header, rows)], blocks, unknown)


def _serving(params: Params, serving: ServingParams, size: Size, card: Card) -> Fit:
    share = params.engine.vllm.gpu_memory_utilization
    if share is not None:
        return costs.serving_fit(serving, size, card, share)
    cache = params.engine.vllm.kv_cache_memory_bytes or 0
    return _in_ram((size.weights + cache) / GIB)


def _training(params: Params, size: Size, card: Card) -> Fit:
    if params.train.compute == "bfloat16":
        return costs.training_fit(params.train, size, card)
    return _in_ram(costs.training_bytes(params.train, size) * params.train.launch.processes / GIB)


def _in_ram(needed: float) -> Fit:
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    words = f"{needed:.1f} of this machine's {there:.0f} GiB"
    return Fit(needed < there, words if needed < there else f"does not fit: {words}")


def disk(here: Workspace, items: Sequence[RequestGroup], sizes: Sizes, training: bool) -> Part:
    """What is written new. Free is what the folder of this project has."""
    params, rows, unknown = here.params, [], []
    for name, model in params.models.items():
        if not model.has_weights or here.settled(f"fetch@{name}"):
            continue
        size = sizes[name]
        if size is None:
            unknown.append(f"disk for {name}: its size is known once it is fetched")
        elif not paths.model(name).is_dir():
            copies = assumptions.COPIES.value if model.hub is not None else CPU_COPIES
            rows.append((f"weights of {name}, {copies:g} copies", copies * size.on_disk))
    written = sum(costs.tokens(params, item).written for item in items)
    rows.append(("replies, in the store and in tables", written * assumptions.CHARACTERS.value * 2))
    base = sizes[params.train.base]
    if training and base is not None:
        rows.append(("checkpoints while it trains", costs.checkpoint_bytes(params.train, base)))
        saved = 2 * base.parameters * BYTES[params.train.weights]
        rows.append(("the policy, 2 copies", saved))
    total = sum(size for _, size in rows) / GIB
    free = shutil.disk_usage(".").free / GIB
    shown = [[what, f"{size / GIB:,.1f}"] for what, size in rows]
    shown += [["all", f"{total:,.1f}"], ["free here", f"{free:,.1f}"]]
    blocks = [f"disk: {total:,.0f} GiB needed, {free:,.0f} GiB free"] if total > free else []
    return Part(["Disk", *table(("", "GiB"), shown)], blocks, unknown)


def sources(answers: Sequence[tuple[Needed, Answer]]) -> Part:
    """What was found; refused ones block the run, and stand there."""
    lines, blocks, unknown = [], [], []
    for one, answer in answers:
        if answer.state == REFUSED:
            blocks.append(f"{one.key} ({one.name}): {answer.words}")
    for state in (FOUND, NOT_CHECKED):
        groups: dict[str, list[str]] = {}
        for one, answer in answers:
            if answer.state == state:
                groups.setdefault(answer.words, []).append(one.name)
        for words, names in groups.items():
            there = f"{words}: {', '.join(dict.fromkeys(names))}"
            if state == FOUND:
                lines += wrapped(there)
            else:
                unknown.append(f"sources: {there}")
    return Part(["Sources", *lines] if lines else [], blocks, unknown)
