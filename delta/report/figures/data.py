"""Build the rows of the paper's tables and figures, in percent; None for runs without a result.

`cut` and `base_cut` are the largest shares of cut answers behind a score and the base's (None too
where they are not known). Seeds of one configuration are one row, and so are configurations whose
selected pairs are equal: its entry then names both.
"""

from collections.abc import Callable

from delta.core.types import Row
from delta.report.claims.contrast import Replicates
from delta.report.claims.quantities import MEAN
from delta.report.context import CONTROLS, FULL, SEED, ReportContext
from delta.report.equal_pairs import entries
from delta.report.figures.further import FURTHER_ROWS, mean_delta
from delta.report.figures.values import Values
from delta.report.scores import score_rows

ALL = "all"  # pairs, at the end of Figure 4's axis
RANDOM = "random"
GROUPS = ("easy", "hard", "stem", "code")


def build_rows(context: ReportContext) -> dict[str, list[Row]]:
    """Return the rows by the name of the table or figure; none where nothing has a result."""
    values = Values(context)
    figures: dict[str, Callable[[Values], list[Row]]] = {
        "figure-1": figure_1_rows,
        "figure-2": lambda values: _score_rows(values, "figure-2", GROUPS),
        "figure-3": figure_3_rows,
        "figure-4": figure_4_rows,
    }
    return {
        "table-1": table_1_rows(context),
        "table-2": score_rows({name: model.scores for name, model in context.models.items()}),
        **{
            name: rows(values) if context.has_result(name) else [] for name, rows in figures.items()
        },
        "figure-5": [row for row in context.overlaps if row["overlap"] is not None],
        **{
            name: further.rows(values) if context.has_result(further.experiment) else []
            for name, further in FURTHER_ROWS.items()
        },
        "controls": control_rows(values),
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


def figure_1_rows(values: Values) -> list[Row]:
    """Return gains over the base."""
    return [
        {"domain": domain} | own_axes(runs) | values.gain(domain, runs)
        for domain in values.available(("easy", "hard"))
        for runs in values.configurations("figure-1")
    ]


def figure_3_rows(values: Values) -> list[Row]:
    """Return scores by the outcomes of the pairs, and how the judge rated each set of pairs.

    `mean_delta` is the mean over the dimensions, in points of the scale; None where a dimension has
    no rated pair, or was not recorded. `without_delta` counts the pairs that were not rated.
    """
    return _score_rows(values, "figure-3", ("math", "stem"), mean_delta)


def figure_4_rows(values: Values) -> list[Row]:
    """Return scores by dimension and k.

    All pairs are the last k of every dimension, and random pairs are a sixth dimension. A row of
    equal pairs in two dimensions stands at the first.
    """
    rows = []
    configurations = values.configurations("figure-4")
    dimensions = values.context.entries("figure-4", "by")
    full = values.context.runs(FULL)
    random = values.configurations(RANDOM)
    for domain in values.available(("easy", "hard", "stem")):
        base = values.base_score(domain)
        for by in dimensions:
            rows += [
                _score_row(values, domain, own_axes(runs), runs, base)
                for runs in configurations
                if entries(runs[0].axes["by"])[0] == by
            ]
            rows.append(_score_row(values, domain, {"by": by, "k": ALL}, full, base))
        for runs in random:
            axes = {"by": RANDOM, "k": runs[0].axes["k"]}
            rows.append(_score_row(values, domain, axes, runs, base))
    return rows


def control_rows(values: Values) -> list[Row]:
    """Return the scores of the runs that the paper lacks; seeds of one run are averaged.

    `spread` is the standard deviation of the seeds' scores in points; None for one seed.
    """
    rows = []
    for domain in values.available(GROUPS):
        base = values.base_score(domain)
        for name in filter(values.context.has_result, CONTROLS):
            for runs in values.configurations(name):
                row = _score_row(values, domain, own_axes(runs), runs, base)
                rows.append({"control": name} | row | {"spread": values.spread(domain, runs)})
    return rows


def own_axes(runs: Replicates) -> dict[str, str]:
    """Return the axes of a configuration without its seeds."""
    return {axis: entry for axis, entry in runs[0].axes.items() if axis != SEED}


def _score_rows(
    values: Values,
    experiment: str,
    domains: tuple[str, ...],
    facts: Callable[[Replicates], Row] | None = None,
) -> list[Row]:
    rows = []
    for domain in values.available(domains):
        base = values.base_score(domain)
        for runs in values.configurations(experiment):
            row = _score_row(values, domain, own_axes(runs), runs, base)
            rows.append(row | (facts(runs) if facts else {}))
    return rows


def _score_row(
    values: Values, domain: str, axes: dict[str, str], runs: Replicates, base: Row
) -> Row:
    return {"domain": domain} | axes | values.score(domain, runs) | base
