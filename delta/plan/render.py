"""Requests, tokens and hours of a run, as a person reads them."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from delta.check import Params, has_table_pairs
from delta.core import paths
from delta.core.params import PARAMS_FILE
from delta.core.schemas import SELECTED, SIDES, TRACE
from delta.plan import assumptions, costs
from delta.plan.costs import Card, Speed, Tokens
from delta.plan.dvc_state import STATES, Stage
from delta.plan.model_sizes import Size
from delta.plan.pending import expected_problems
from delta.plan.requests import AT_MOST, ESTIMATE, EXACT, UNKNOWN, RequestGroup
from delta.plan.text import hours, short, table, wrapped
from delta.plan.workspace import Workspace, read_current_table

Lines = list[str]
Sizes = dict[str, Size | None]
SHOWN = 2  # of what changed in a stage
NAME_WIDTH = 30
BASES = (EXACT, AT_MOST, ESTIMATE, UNKNOWN)  # from the surest on
HEADER = ("", "requests", "in store", "to ask", "number", "read", "write", "at most")


class Cost(NamedTuple):
    """Of one item or of several."""

    total: int  # requests, of those items whose number is known
    kept: int
    basis: str
    tokens: Tokens
    hours: float  # of those items whose number and size are known
    priced: bool  # whether those are all


def stage_lines(stages: Sequence[Stage]) -> Lines:
    """Items by state, one line for each stage of dvc.yaml, and what changed."""
    groups: dict[str, list[Stage]] = {}
    for stage in stages:
        groups.setdefault(stage.name.partition("@")[0], []).append(stage)
    rows = []
    for name, items in groups.items():
        rows.append([name, *_by_state(items), _why(items)])
    rows.append(["all", *_by_state(stages), ""])
    return [
        "Stages",
        *table(["", *STATES, "changed"], rows),
        *wrapped(
            "restored: DVC's cache has the result. waits: runs unless what comes before it turns "
            "out as it was."
        ),
    ]


def _why(items: Sequence[Stage]) -> str:
    """What changed, the parameters first: they say more than files of code."""
    new = sum(item.never_ran for item in items)
    changed = dict.fromkeys(e for item in items if not item.never_ran for e in item.changed)
    named = sorted(changed, key=lambda entry: ":" not in entry)
    words = [f"{new} never run"] if new else []
    words += [entry.removeprefix(f"{PARAMS_FILE}:") for entry in named[:SHOWN]]
    if len(named) > SHOWN:
        words.append(f"{len(named) - SHOWN} more")
    return ", ".join(words)


def _by_state(stages: Sequence[Stage]) -> list[str]:
    states = Counter(stage.state for stage in stages)
    return [str(states[state] or "-") for state in STATES]


def cost_of(params: Params, item: RequestGroup, size: Size | None, speed: Speed) -> Cost:
    tokens = costs.tokens(params, item)
    found = item.found
    served = params.serving[item.model].endpoint is not None  # it takes no hour of ours
    spent, priced = 0.0, served or item.to_ask == 0
    if not served and size is not None and item.to_ask:
        spent, priced = costs.asking_hours(tokens, size, speed), True
    return Cost(found.total or 0, found.kept, found.basis, tokens, spent, priced)


def sum_costs(parts: Sequence[Cost]) -> Cost:
    """Sums of what is known; as sure as the least sure part."""
    return Cost(
        sum(part.total for part in parts),
        sum(part.kept for part in parts),
        max((part.basis for part in parts), key=BASES.index),
        Tokens(*map(sum, zip(*(part.tokens for part in parts), strict=True))),
        sum(part.hours for part in parts),
        all(part.priced for part in parts),
    )


def request_lines(
    here: Workspace, items: Sequence[RequestGroup], sizes: Sizes, speed: Speed
) -> tuple[Lines, str]:
    """One line for each generator; answers to benchmarks are summed for each model. And hours."""
    priced = [(item, cost_of(here.params, item, sizes.get(item.model), speed)) for item in items]
    rows = []
    for stage in dict.fromkeys(item.stage for item in items):
        groups: dict[str, list[Cost]] = {}
        for item, cost in priced:
            if item.stage == stage:
                name = item.name.partition(" ")[0] if stage == "evaluate" else item.name
                groups.setdefault(f"{stage} {name}", []).append(cost)
        rows += [_row(name, sum_costs(parts)) for name, parts in groups.items()]
        if len(groups) > 1:
            parts = [part for group in groups.values() for part in group]
            rows.append(_row(f"{stage}, all", sum_costs(parts)))
    if not rows:
        return ["Requests", "  none: no stage that asks a model is to run"], "0"
    rows.append(_row("all", sum_costs([cost for _, cost in priced])))
    unit = "GPU h" if costs.on_gpu(here.params) else "CPU h"
    lines = ["Requests and tokens", *table([*HEADER, unit], rows), *_legend(priced)]
    return lines, f"{rows[-1][-1]} {unit}"


def _row(name: str, cost: Cost) -> list[str]:
    known = cost.basis != UNKNOWN
    return [
        name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…",
        *count_cells(cost),
        *(at_least(short(number), cost.total, known) for number in cost.tokens),
        at_least(hours(cost.hours), cost.hours, cost.priced),
    ]


def count_cells(cost: Cost) -> list[str]:
    """Requests, those in the store, those to ask, and how sure the numbers are."""
    known = cost.basis != UNKNOWN
    total = at_least(f"{cost.total:,}", cost.total, known)
    to_ask = at_least(f"{cost.total - cost.kept:,}", cost.total, known)
    return [total, f"{cost.kept:,}", to_ask, cost.basis]


def at_least(written: str, known_part: float, whole: bool) -> str:
    """A sum of which a part is not known."""
    if whole:
        return written
    return f"{written}+" if known_part else "?"


def _legend(priced: Sequence[tuple[RequestGroup, Cost]]) -> Lines:
    meanings = {
        EXACT: "every request was looked up in the store, or the store has none for these",
        AT_MOST: "equal requests are asked once, and were not looked for",
        ESTIMATE: "from params.yaml and today's tables; a stage before it has yet to run, or more "
        "is stored than a plan reads",
        UNKNOWN: "only the rows tell; `dvc repro questions problems` reads them without a GPU",
    }
    used = {cost.basis for _, cost in priced}
    lines = [
        line for basis in BASES if basis in used for line in wrapped(f"{basis}: {meanings[basis]}.")
    ]
    measured = [item for item, _ in priced if item.found.reply_tokens is not None]
    if measured:
        lines += wrapped(
            f"Length of replies: that of replies in the store for {len(measured)} of "
            f"{len(priced)} items, else assumed."
        )
    return lines


def training_lines(here: Workspace, sizes: Sizes, speed: Speed) -> tuple[Lines, str]:
    """Pairs, tokens and hours of the policy; all epochs, since when it converges is not known."""
    train = here.params.train
    pairs, basis = pairs_to_train(here)
    if pairs is None:
        return ["Training", f"  {train.method}: how many pairs there will be is not known"], "?"
    side = sum(_side_tokens(here, here.params, name) for name in SIDES) / 2
    epoch = costs.training_tokens(train, pairs, side)
    size = sizes[train.base]
    spent = None if size is None else costs.training_hours(train, epoch, size, speed)
    unit = "GPU h" if train.bf16 else "CPU h"
    row = [
        f"train {train.method}",
        f"{pairs:,}",
        basis,
        str(train.method_params.num_train_epochs),
        short(side),
        short(epoch * train.method_params.num_train_epochs),
        "?" if spent is None else hours(spent),
    ]
    header = ("", "pairs", "number", "epochs", "tokens a side", "tokens", unit)
    early = [] if train.early_stopping is None else ["  less where the loss converges earlier"]
    return ["Training", *table(header, [row]), *early], f"{row[-1]} {unit}"


def pairs_to_train(here: Workspace) -> tuple[int | None, str]:
    if here.settled("select"):
        selected = read_current_table(paths.SELECTED, SELECTED)
        if selected is not None:
            return selected.filter("selected").height, EXACT
    if here.params.selector.k is not None:
        return here.params.selector.k, EXACT
    pairing = here.params.pairing
    if has_table_pairs(here.params):
        return None, UNKNOWN
    problems = pairing.problems or expected_problems(here.params.problems)
    return (None, UNKNOWN) if problems is None else (problems * pairing.per_problem, AT_MOST)


def _side_tokens(here: Workspace, params: Params, side: str) -> float:
    """Prompt and completion, by the traces that are there, else assumed."""
    generator = params.pairing.chosen if side == "chosen" else params.pairing.rejected
    traces = read_current_table(paths.traces(generator), TRACE, "text")
    if traces is not None and here.settled(f"generate@{generator}"):
        counted = traces.select("prompt_tokens", "completion_tokens").drop_nulls()
        if counted.height:
            return float(counted.sum_horizontal().sum()) / counted.height
    return assumptions.PROBLEM_PROMPT.value + costs.trace_tokens(params, generator)


def card_words(params: Params, card: Card) -> str:
    if costs.on_gpu(params) or params.train.bf16:
        return f"cards of {card.gib:g} GiB and {card.tflops:g} TFLOP/s"
    return "two CPU cores"
