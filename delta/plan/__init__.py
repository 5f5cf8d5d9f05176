"""What a run would cost, before the first second of a GPU; needs neither a GPU nor a network."""

from collections.abc import Callable

from delta.check import Params
from delta.core.errors import InputError
from delta.plan import access, assumptions, costs, render, resources, servers
from delta.plan.access import AskHub, InCache
from delta.plan.assumptions import Assumed
from delta.plan.costs import Card
from delta.plan.dvc_state import RESTORED, UP_TO_DATE, Stage
from delta.plan.model_sizes import sizes
from delta.plan.pending import work_to_do
from delta.plan.text import wrapped
from delta.plan.workspace import Workspace, item_of


def plan(
    params: Params,
    ask_dvc: Callable[[], list[Stage]],
    ask_hub: AskHub,
    in_cache: InCache,
    offline: bool,
    card: Card,
) -> list[str]:
    """The lines to print. What cannot be asked is said, and stops nothing."""
    stages, not_checked = [], []
    try:
        stages = ask_dvc()
    except InputError as error:
        not_checked.append(f"which stages are up to date, so all count as to be run: {error}")
    if stages and all(stage.state == UP_TO_DATE for stage in stages):
        return [f"Nothing to do: all {len(stages)} stages are up to date."]
    here = Workspace(params, {stage.name: stage for stage in stages})
    work = list(work_to_do(here))
    items = [item_of(here, one, 1 / len(work)) for one in work]
    known = sizes(params)
    engine, trainer = costs.speeds(params, card)
    trains = "train" not in here.stages or here.stages["train"].state not in (UP_TO_DATE, RESTORED)
    asked = list(dict.fromkeys(item.model for item in items if item.to_ask != 0))
    serving, bill = servers.lines(here, items)
    parts = [
        serving,
        resources.memory(params, asked, known, card, trains),
        resources.disk(here, items, known, trains),
        resources.sources(access.check(_to_read(here), ask_hub, in_cache, offline)),
    ]
    asking, asking_hours = render.request_lines(here, items, known, engine)
    training, training_hours = render.training_lines(here, known, trainer) if trains else ([], "0")
    not_checked += [*here.notes, *(one for part in parts for one in part.not_checked)]
    sections = [
        render.stage_lines(stages) if stages else [],
        asking,
        training,
        serving.lines,
        [f"In all: {asking_hours} of answers and {training_hours} of training{bill}."],
        *(part.lines for part in parts[1:]),
        _assumed(render.card_words(params, card)),
        ["Not checked", *_listed(not_checked)] if not_checked else [],
        _verdict([one for part in parts for one in part.blocks]),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines).split("\n")


def _to_read(here: Workspace) -> list[access.Needed]:
    """Sources of the stages that will read them."""
    done = (UP_TO_DATE, RESTORED)
    return [
        one
        for one in access.needed(here.params)
        if one.stage not in here.stages or here.stages[one.stage].state not in done
    ]


def _assumed(where: str) -> list[str]:
    """Without what is said of the other kind of machine."""
    other = assumptions.OF_CPUS if where.startswith("cards") else assumptions.OF_CARDS
    values = [one for one in vars(assumptions).values() if isinstance(one, Assumed)]
    lines = [f"{one.value:,g} {one.reason}" for one in values if one not in other]
    return [f"Assumed, on {where}", *(line for text in lines for line in wrapped(text))]


def _listed(notes: list[str]) -> list[str]:
    return [line for note in dict.fromkeys(notes) for line in wrapped(note)]


def _verdict(blocks: list[str]) -> list[str]:
    if not blocks:
        return ["Nothing that was checked stands in the way."]
    return ["In the way", *_listed(blocks)]
