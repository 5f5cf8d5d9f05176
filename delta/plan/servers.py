"""Who is asked how much, and what servers take for it by their price lists."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from delta.check import Params
from delta.core.errors import InputError
from delta.plan import costs, render
from delta.plan.costs import Bill, Speed
from delta.plan.render import Cost
from delta.plan.requests import UNKNOWN, RequestGroup
from delta.plan.resources import Part
from delta.plan.text import table, wrapped
from delta.plan.workspace import Workspace

HEADER = ("", "asked at", "requests", "in store", "to ask", "number", "USD", "at most")
NAME_WIDTH = 20
NO_SPEED = Speed(1, 1, 1)  # hours are told elsewhere


class Row(NamedTuple):
    """A model that is asked, by whichever stages."""

    model: str
    server: str | None  # None: the engine of this run
    cost: Cost
    bill: Bill | None  # None: the price is not known, or there is none


def lines(here: Workspace, items: Sequence[RequestGroup]) -> tuple[Part, str]:
    """Requests by model with the bill of each, and what the plan's last line says of it.

    Nothing where no server is asked: the table of requests has said all.
    """
    rows = [_row(here, model, items) for model in dict.fromkeys(item.model for item in items)]
    served = [row for row in rows if row.server is not None]
    if not served:
        return Part([], [], []), ""
    bills = [row.bill for row in served if row.bill is not None]
    total = Bill(sum(bill.usd for bill in bills), sum(bill.at_most for bill in bills))
    whole = all(_is_known(row) for row in served)
    shown = [_cells(row) for row in rows]
    if len(served) > 1:
        shown.append(["all servers", "", "", "", "", "", *_money(total, whole)])
    text = [
        *table(HEADER, shown),
        *wrapped(
            "USD: by the prices under engine.endpoint.servers; a prompt counts as often as it is "
            "sent, and no discount is taken off. At most: every reply as long as it may be. "
            "Replies that hold no vote or verdict are asked for again, which comes on top."
        ),
    ]
    usd, at_most = _money(total, whole)
    words = f", {usd} USD to servers (at most {at_most})"
    blocks = list(_keys(here.params, served))
    return Part(["Requests by model", *text], blocks, list(_unpriced(served))), words


def _row(here: Workspace, model: str, items: Sequence[RequestGroup]) -> Row:
    params, own = here.params, [item for item in items if item.model == model]
    cost = render.sum_costs([render.cost_of(params, item, None, NO_SPEED) for item in own])
    if params.serving[model].endpoint is None:
        return Row(model, None, cost, None)
    server = params.engine.endpoint.server_of(model)
    price = params.engine.endpoint.servers[server].models[model]
    if price is None:
        return Row(model, server, cost, None)
    bills = [costs.bill(costs.billed_tokens(params, item), price) for item in own]
    bill = Bill(sum(bill.usd for bill in bills), sum(bill.at_most for bill in bills))
    return Row(model, server, cost, bill)


def _is_asked(row: Row) -> bool:
    return row.cost.basis == UNKNOWN or row.cost.kept < row.cost.total


def _is_known(row: Row) -> bool:
    return not _is_asked(row) or (row.bill is not None and row.cost.basis != UNKNOWN)


def _cells(row: Row) -> list[str]:
    money = ["-", "-"]
    if row.server is not None:
        money = _money(row.bill or Bill(0, 0), _is_known(row))
    where = row.server or "this run's engine"
    return [row.model[:NAME_WIDTH], where[:NAME_WIDTH], *render.count_cells(row.cost), *money]


def _money(bill: Bill, whole: bool) -> list[str]:
    return [render.at_least(f"{part:,.2f}", part, whole) for part in bill]


def _unpriced(served: Sequence[Row]) -> Iterator[str]:
    for row in served:
        if row.bill is None and not _is_known(row):
            key = f"engine.endpoint.servers.{row.server}.models.{row.model}"
            yield f"what {row.model} costs: {key} has no price"


def _keys(params: Params, served: Sequence[Row]) -> Iterator[str]:
    """Keys that the environment lacks, of servers that will be asked."""
    for name in dict.fromkeys(row.server for row in served if _is_asked(row)):
        assert name is not None
        try:
            params.engine.endpoint.servers[name].token()
        except InputError as error:
            yield str(error)
