"""Build the rows of the paper's tables and figures, in percent; None for runs without a result."""

from delta.core.types import Row
from delta.report.claims.measures import (
    MEAN,
    Evaluator,
    Measurement,
    Replicates,
    correct_counts,
    group_replicates,
)
from delta.report.context import DOMAINS, SEED, MissingResultError, ReportContext
from delta.report.figures.style import distinct
from delta.report.paper import RunSelector, ScoreDifference
from delta.stats.intervals import Interval
from delta.stats.seeds import SeedScore, score_with_seeds

ALL = "all"  # pairs, at the end of Figure 4's axis
RANDOM = "random"
CONTROLS = (RANDOM, "bottom", "length-matched", "seeds")


def build_rows(context: ReportContext) -> dict[str, list[Row]]:
    """Return the rows by the name of the table or figure."""
    return {
        "table-1": table_1(context),
        "table-2": table_2(context),
        "figure-1": figure_1(context),
        "figure-2": figure_2(context),
        "figure-3": figure_3(context),
        "figure-4": figure_4(context),
        "figure-5": context.overlaps,
        "controls": controls(context),
    }


def table_1(context: ReportContext) -> list[Row]:
    """Return the deltas per dimension against the generator of the rejected traces."""
    rows = [
        row
        for row in context.deltas
        if row["rejected"] == context.rejected and row["dimension"] != MEAN
    ]
    order = {name: number for number, name in enumerate(context.models)}
    return sorted(rows, key=lambda row: order.get(row["chosen"], len(order)))


def table_2(context: ReportContext) -> list[Row]:
    """Return the scores of the off-the-shelf models."""
    return [
        {"model": name, "benchmark": benchmark}
        | _interval("score", Interval(score["value"], score["low"], score["high"]), 100)
        for name, model in context.models.items()
        for benchmark, score in model.scores.items()
    ]


def figure_1(context: ReportContext) -> list[Row]:
    """Return gains over the base."""
    return [
        {"domain": domain}
        | run.axes
        | _gain(context, domain, {"experiment": "figure-1"} | run.axes)
        for domain in _available(context, ("easy", "hard"))
        for run in context.runs("figure-1")
    ]


def figure_2(context: ReportContext) -> list[Row]:
    """Return scores by method and chosen generator."""
    return _run_scores(context, "figure-2", ("easy", "hard", "stem", "code"))


def figure_3(context: ReportContext) -> list[Row]:
    """Return scores by the outcomes of chosen and rejected."""
    return _run_scores(context, "figure-3", ("math", "stem"))


def figure_4(context: ReportContext) -> list[Row]:
    """Return scores by dimension and k.

    All pairs are the last k of every dimension, and random pairs are a sixth dimension.
    """
    rows = []
    for domain in _available(context, ("easy", "hard", "stem")):
        base = _selected_score(context, domain, "base")["score"]
        runs = context.runs("figure-4")
        for by in distinct([run.axes for run in runs], "by"):
            rows += [_row(context, domain, [run], base) for run in runs if run.axes["by"] == by]
            full = _selected_score(context, domain, "full")
            rows.append({"domain": domain, "by": by, "k": ALL, **full, "base": base})
        for group in group_replicates(context.runs(RANDOM)):
            axes = {"by": RANDOM, "k": group[0].axes["k"]}
            rows.append({"domain": domain, **axes, **_score(context, domain, group), "base": base})
    return rows


def controls(context: ReportContext) -> list[Row]:
    """Return the scores of the runs that the paper lacks; seeds of one run are averaged.

    `spread` is the standard deviation of the seeds' scores in points; None for one seed.
    """
    rows = []
    for domain in _available(context, ("easy", "hard", "stem", "code")):
        base = _selected_score(context, domain, "base")["score"]
        for name in CONTROLS:
            for group in group_replicates(context.runs(name)):
                row = {"control": name} | _row(context, domain, group, base)
                row.pop(SEED, None)
                score = _seed_score(context, domain, group)
                spread = None if score is None else score.between_seeds
                spread = None if spread is None else round(100 * spread, 2)
                rows.append(row | {"seeds": len(group), "spread": spread})
    return rows


def _run_scores(context: ReportContext, experiment: str, domains: tuple[str, ...]) -> list[Row]:
    rows = []
    for domain in _available(context, domains):
        base = _selected_score(context, domain, "base")["score"]
        rows += [_row(context, domain, [run], base) for run in context.runs(experiment)]
    return rows


def _row(context: ReportContext, domain: str, runs: Replicates, base: float | None) -> Row:
    return {"domain": domain} | runs[0].axes | _score(context, domain, runs) | {"base": base}


def _score(context: ReportContext, domain: str, runs: Replicates) -> Row:
    return _interval("score", _seed_score(context, domain, runs), 100)


def _seed_score(context: ReportContext, domain: str, runs: Replicates) -> SeedScore | None:
    try:
        return score_with_seeds([correct_counts(runs, name) for name in context.benchmarks(domain)])
    except MissingResultError:
        return None


def _selected_score(context: ReportContext, domain: str, selector: RunSelector) -> Row:
    try:
        (runs,) = Evaluator(context).select_runs(selector)
    except MissingResultError:
        return _interval("score", None)
    return _score(context, domain, runs)


def _gain(context: ReportContext, domain: str, selector: RunSelector) -> Row:
    quantity = ScoreDifference(domains=[domain], runs=[selector], baseline=["base"])
    try:
        return _interval("gain", Evaluator(context).score_difference(quantity))
    except MissingResultError:
        return _interval("gain", None)


def _interval(
    name: str, interval: Interval | SeedScore | Measurement | None, scale: float = 1.0
) -> Row:
    if interval is None:
        return dict.fromkeys((name, "low", "high"))
    value, low, high = (round(scale * number, 2) for number in interval[:3])
    return {name: value, "low": low, "high": high}


def _available(context: ReportContext, domains: tuple[str, ...]) -> list[str]:
    """Return the domains for which this profile has a benchmark."""
    groups = set(context.groups.values())
    return [domain for domain in domains if groups & set(DOMAINS[domain])]
