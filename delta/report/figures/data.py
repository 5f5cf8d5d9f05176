"""Build the rows of the paper's tables and figures, in percent; None for runs without a result.

`cut` and `base_cut` are the largest shares of cut answers behind a score and the base's (None too
where they are not known).
"""

import itertools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from delta.core.types import Row
from delta.experiments.results import Result
from delta.report.claims.measures import (
    MEAN,
    Evaluator,
    Measurement,
    Replicates,
    correct_counts,
    group_replicates,
    largest_cut,
)
from delta.report.context import CONTROLS, DOMAINS, SEED, MissingResultError, ReportContext, Run
from delta.report.figures.style import distinct
from delta.report.paper.claims import RunSelector, ScoreDifference
from delta.report.scores import percent, score_rows
from delta.stats.seeds import SeedScore, score_with_seeds

ALL = "all"  # pairs, at the end of Figure 4's axis
RANDOM = "random"
GROUPS = ("easy", "hard", "stem", "code")


def build_rows(context: ReportContext) -> dict[str, list[Row]]:
    """Return the rows by the name of the table or figure; none where nothing has a result."""
    figures: dict[str, Callable[[ReportContext], list[Row]]] = {
        "figure-1": figure_1_rows,
        "figure-2": partial(_run_scores, experiment="figure-2", domains=GROUPS),
        "figure-3": figure_3_rows,
        "figure-4": figure_4_rows,
    }
    return {
        "table-1": table_1_rows(context),
        "table-2": score_rows({name: model.scores for name, model in context.models.items()}),
        **{
            name: rows(context) if context.has_result(name) else []
            for name, rows in figures.items()
        },
        "figure-5": [row for row in context.overlaps if row["overlap"] is not None],
        "controls": control_rows(context),
    }


def table_1_rows(context: ReportContext) -> list[Row]:
    """Return the deltas per dimension against the generator of the rejected traces."""
    rows = [
        row
        for row in context.deltas
        if row["rejected"] == context.rejected and row["dimension"] != MEAN
    ]
    order = {name: number for number, name in enumerate(context.models)}
    return sorted(rows, key=lambda row: order.get(row["chosen"], len(order)))


def figure_1_rows(context: ReportContext) -> list[Row]:
    """Return gains over the base."""
    rows = []
    for domain in _available(context, ("easy", "hard")):
        for run in context.runs("figure-1"):
            selector: RunSelector = {"experiment": "figure-1"} | run.axes
            quantity = ScoreDifference(domains=[domain], runs=[selector], baseline=["base"])
            try:
                gain = Evaluator(context).score_difference(quantity)
            except MissingResultError:
                gain = None
            cut = None if gain is None else gain.cut
            rows.append({"domain": domain} | run.axes | _interval("gain", gain) | {"cut": cut})
    return rows


def figure_3_rows(context: ReportContext) -> list[Row]:
    """Return scores by the outcomes of the pairs, and how the judge rated each set of pairs.

    `mean_delta` is the mean over the dimensions, in points of the scale; None where a dimension has
    no rated pair, or was not recorded. `without_delta` counts the pairs that were not rated.
    """
    rows = _run_scores(context, "figure-3", ("math", "stem"))
    runs = itertools.cycle(context.runs("figure-3"))  # each domain has a row for each run
    return [row | _deltas_of_pairs(run) for row, run in zip(rows, runs, strict=False)]


def _deltas_of_pairs(run: Run) -> Row:
    select = run.result.counts.get("select", {}) if isinstance(run.result, Result) else {}
    means = list(select.get("mean_delta", {}).values())
    known = [mean for mean in means if mean is not None]
    mean = sum(known) / len(known) if known and len(known) == len(means) else None
    return {
        "mean_delta": None if mean is None else round(mean, 4),
        "without_delta": select.get("without_delta"),
    }


def figure_4_rows(context: ReportContext) -> list[Row]:
    """Return scores by dimension and k.

    All pairs are the last k of every dimension, and random pairs are a sixth dimension.
    """
    rows = []
    for domain in _available(context, ("easy", "hard", "stem")):
        base = _base_score(context, domain)
        runs = context.runs("figure-4")
        full = _score(context, domain, _select(context, "full"))
        for by in distinct([run.axes for run in runs], "by"):
            rows += [
                _row(domain, run.axes, _score(context, domain, [run]), base)
                for run in runs
                if run.axes["by"] == by
            ]
            rows.append(_row(domain, {"by": by, "k": ALL}, full, base))
        for group in group_replicates(context.runs(RANDOM)):
            axes = {"by": RANDOM, "k": group[0].axes["k"]}
            rows.append(_row(domain, axes, _score(context, domain, group), base))
    return rows


def control_rows(context: ReportContext) -> list[Row]:
    """Return the scores of the runs that the paper lacks; seeds of one run are averaged.

    `spread` is the standard deviation of the seeds' scores in points; None for one seed.
    """
    rows = []
    for domain in _available(context, GROUPS):
        base = _base_score(context, domain)
        for name in filter(context.has_result, CONTROLS):
            for group in group_replicates(context.runs(name)):
                axes = {axis: entry for axis, entry in group[0].axes.items() if axis != SEED}
                scored = _score(context, domain, group)
                row = {"control": name} | _row(domain, axes, scored, base)
                spread = None if scored is None else scored.score.between_seeds
                spread = None if spread is None else percent(spread)
                rows.append(row | {"seeds": len(group), "spread": spread})
    return rows


def _run_scores(context: ReportContext, experiment: str, domains: tuple[str, ...]) -> list[Row]:
    rows = []
    for domain in _available(context, domains):
        base = _base_score(context, domain)
        rows += [
            _row(domain, run.axes, _score(context, domain, [run]), base)
            for run in context.runs(experiment)
        ]
    return rows


class _Scored(NamedTuple):
    """A score, and the largest share of cut answers behind it in percent (None: not known)."""

    score: SeedScore
    cut: float | None


def _row(domain: str, axes: dict[str, str], scored: _Scored | None, base: Row) -> Row:
    score, cut = scored or (None, None)
    return {"domain": domain} | axes | _interval("score", score, 100) | {"cut": cut} | base


def _base_score(context: ReportContext, domain: str) -> Row:
    scored = _score(context, domain, _select(context, "base"))
    if scored is None:
        return {"base": None, "base_cut": None}
    return {"base": percent(scored.score.value), "base_cut": scored.cut}


def _select(context: ReportContext, selector: RunSelector) -> Replicates:
    try:
        (runs,) = Evaluator(context).select_runs(selector)
    except MissingResultError:
        return [Run({}, None)]
    return runs


def _score(context: ReportContext, domain: str, runs: Replicates) -> _Scored | None:
    names = context.benchmarks(domain)
    try:
        score = score_with_seeds([correct_counts(runs, name) for name in names])
    except MissingResultError:
        return None
    return _Scored(score, largest_cut(runs, names))


def _interval(name: str, interval: SeedScore | Measurement | None, scale: float = 1.0) -> Row:
    if interval is None:
        return dict.fromkeys((name, "low", "high"))
    values = (round(scale * number, 2) for number in interval[:3])
    return dict(zip((name, "low", "high"), values, strict=True))


def _available(context: ReportContext, domains: tuple[str, ...]) -> list[str]:
    """Return the domains for which this profile has a benchmark."""
    groups = set(context.groups.values())
    return [domain for domain in domains if groups & set(DOMAINS[domain])]
