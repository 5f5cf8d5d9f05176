"""The rows behind the paper's tables and figures: ours, in percent, None where not run yet."""

from collections.abc import Callable
from typing import Any

from delta.core.types import Row
from delta.report.claims.measures import (
    MEAN,
    SEED,
    Configuration,
    Evaluator,
    answers,
    without_seeds,
)
from delta.report.context import DOMAINS, MissingResultError, ReportContext
from delta.report.paper import Scores, Side
from delta.stats import seeds

ALL = "all"  # pairs, at the end of Figure 4's axis
RANDOM = "random"
CONTROLS = (RANDOM, "bottom", "length-matched", "seeds")


def of(world: ReportContext) -> dict[str, list[Row]]:
    """By the name of the table or figure."""
    return {
        "table-1": table_1(world),
        "table-2": table_2(world),
        "figure-1": figure_1(world),
        "figure-2": figure_2(world),
        "figure-3": figure_3(world),
        "figure-4": figure_4(world),
        "figure-5": world.overlaps,
        "controls": controls(world),
    }


def table_1(world: ReportContext) -> list[Row]:
    """The rows against the generator of the rejected traces; the mean of dimensions stays out."""
    against = [
        row
        for row in world.deltas
        if row["rejected"] == world.rejected and row["dimension"] != MEAN
    ]
    place = {name: number for number, name in enumerate(world.models)}
    return sorted(against, key=lambda row: place.get(row["chosen"], len(place)))


def table_2(world: ReportContext) -> list[Row]:
    return [
        {
            "model": name,
            "benchmark": benchmark,
            **_percent(score["value"], score["low"], score["high"]),
        }
        for name, model in world.models.items()
        for benchmark, score in model.scores.items()
    ]


def figure_1(world: ReportContext) -> list[Row]:
    """Gains over the base."""
    return [
        {"domain": domain} | cell.at | _gain(world, domain, {"experiment": "figure-1"} | cell.at)
        for domain in _there(world, ("easy", "hard"))
        for cell in world.cells("figure-1")
    ]


def figure_2(world: ReportContext) -> list[Row]:
    return _scores(world, "figure-2", ("easy", "hard", "stem", "code"))


def figure_3(world: ReportContext) -> list[Row]:
    return _scores(world, "figure-3", ("math", "stem"))


def figure_4(world: ReportContext) -> list[Row]:
    """Also all pairs, as the last k of every dimension, and random pairs as a sixth one."""
    rows = []
    for domain in _there(world, ("easy", "hard", "stem")):
        base = _score(world, domain, "base")["score"]
        for by in dict.fromkeys(cell.at["by"] for cell in world.cells("figure-4")):
            for cell in world.cells("figure-4"):
                if cell.at["by"] == by:
                    rows.append(_row(world, domain, cell.at, [cell], base))
            at = {"by": by, "k": ALL}
            rows.append({"domain": domain} | at | _score(world, domain, "full") | {"base": base})
        rows += [row | {"base": base} for row in _by_k(world, domain)]
    return rows


def controls(world: ReportContext) -> list[Row]:
    """The runs that the paper lacks, those with different seeds together, and one by one."""
    rows = []
    for domain in _there(world, ("easy", "hard", "stem", "code")):
        base = _score(world, domain, "base")["score"]
        for name in CONTROLS:
            for cells in without_seeds(world.cells(name)):
                at = {axis: entry for axis, entry in cells[0].at.items() if axis != SEED}
                row = _row(world, domain, at, cells, base)
                spread = _between_seeds(world, domain, cells)
                rows.append({"control": name} | row | {"seeds": len(cells), "spread": spread})
    return rows


def missing(world: ReportContext, experiment: str) -> tuple[int, int]:
    """How many runs are not there, and how many there should be."""
    cells = world.cells(experiment)
    return sum(cell.result is None for cell in cells), len(cells)


def _by_k(world: ReportContext, domain: str) -> list[Row]:
    return [
        {"domain": domain, "by": RANDOM, "k": cells[0].at["k"], **_of_cells(world, domain, cells)}
        for cells in without_seeds(world.cells(RANDOM))
    ]


def _scores(world: ReportContext, experiment: str, domains: tuple[str, ...]) -> list[Row]:
    rows = []
    for domain in _there(world, domains):
        base = _score(world, domain, "base")["score"]
        rows += [_row(world, domain, cell.at, [cell], base) for cell in world.cells(experiment)]
    return rows


def _row(
    world: ReportContext, domain: str, at: dict[str, str], cells: Configuration, base: float | None
) -> Row:
    return {"domain": domain} | at | _of_cells(world, domain, cells) | {"base": base}


def _of_cells(world: ReportContext, domain: str, cells: Configuration) -> Row:
    def found() -> tuple[float, float, float]:
        tables = [answers(cells, name) for name in world.benchmarks(domain)]
        value, low, high, *_ = seeds.score(tables)
        return value, low, high

    return _or_none(found, "score")


def _between_seeds(world: ReportContext, domain: str, cells: Configuration) -> float | None:
    """Standard deviation of the seeds' scores, in points; None for one seed."""
    try:
        spread = seeds.score([answers(cells, name) for name in world.benchmarks(domain)])
    except MissingResultError:
        return None
    return None if spread.between_seeds is None else round(100 * spread.between_seeds, 2)


def _score(world: ReportContext, domain: str, side: Side) -> Row:
    try:
        (cells,) = Evaluator(world, {}).configurations(side)
    except MissingResultError:
        return dict.fromkeys(("score", "low", "high"))
    return _of_cells(world, domain, cells)


def _gain(world: ReportContext, domain: str, side: Side) -> Row:
    def found() -> tuple[float, float, float]:
        wanted = Scores(domains=[domain], ours=[side], theirs=["base"])
        value, low, high, _ = Evaluator(world, {}).scores(wanted)
        return value / 100, low / 100, high / 100

    return _or_none(found, "gain")


def _or_none(find: Callable[[], tuple[float, float, float]], name: str) -> Row:
    try:
        return _percent(*find(), name=name)
    except MissingResultError:
        return dict.fromkeys((name, "low", "high"))


def _percent(value: float, low: float, high: float, name: str = "score") -> dict[str, Any]:
    return {name: round(100 * value, 2), "low": round(100 * low, 2), "high": round(100 * high, 2)}


def _there(world: ReportContext, domains: tuple[str, ...]) -> list[str]:
    """The domains of which this profile has a benchmark."""
    groups = set(world.groups.values())
    return [domain for domain in domains if groups & set(DOMAINS[domain])]
