"""Build the rows of the figures for what the paper's cannot separate; gains in points."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from delta.core.schemas import SIDES
from delta.core.types import Row
from delta.experiments.results import Result
from delta.report.claims.contrast import Replicates
from delta.report.context import SEED
from delta.report.figures.values import Values

DOMAINS = ("easy", "hard", "stem")


class FurtherRows(NamedTuple):
    """The experiment whose results a figure shows, and what builds its rows."""

    experiment: str
    rows: Callable[[Values], list[Row]]


def gap_by_delta_rows(values: Values) -> list[Row]:
    """Return gains by the gap between the generators and the delta of the pairs, at one k."""
    return _gains(values, "gap-by-delta", _selected_delta)


def dose_rows(values: Values) -> list[Row]:
    """Return gains by fifths of the pairs in order of delta, the smallest first, at one k."""
    return _gains(values, "dose", _selected_delta)


def outcome_matched_rows(values: Values) -> list[Row]:
    """Return gains of the largest deltas and of random pairs where both sides are right."""
    return _gains(values, "outcome-matched", _selected_delta)


def outcome_quality_rows(values: Values) -> list[Row]:
    """Return gains of figure 3's sets of pairs beside the judge's ratings of their two sides."""
    return _gains(values, "figure-3", lambda runs: _mean_ratings(runs) | mean_delta(runs))


FURTHER_ROWS = {
    "outcome-quality": FurtherRows("figure-3", outcome_quality_rows),
    "gap-by-delta": FurtherRows("gap-by-delta", gap_by_delta_rows),
    "dose": FurtherRows("dose", dose_rows),
    "outcome-matched": FurtherRows("outcome-matched", outcome_matched_rows),
}


def mean_delta(runs: Replicates) -> Row:
    """Return `mean_delta` of the pairs over all dimensions, and the number of pairs without one.

    The mean is None where a dimension has no rated pair, or was not recorded. The selected pairs of
    all seeds are the same.
    """
    selection = _selections(runs)[0]
    mean = _mean_of_all(selection.get("mean_delta", {}).values())
    return {"mean_delta": mean, "without_delta": selection.get("without_delta")}


def _gains(values: Values, experiment: str, facts: Callable[[Replicates], Row]) -> list[Row]:
    rows = []
    for domain in values.available(DOMAINS):
        for runs in values.configurations(experiment):
            axes = {axis: entry for axis, entry in runs[0].axes.items() if axis != SEED}
            rows.append({"domain": domain} | axes | values.gain(domain, runs) | facts(runs))
    return rows


def _selected_delta(runs: Replicates) -> Row:
    """Return the mean delta of the selected pairs by what ranked them, over all seeds."""
    means = [selection.get("mean_delta_selected") for selection in _selections(runs)]
    return {"mean_delta_selected": _mean_of_all(means)}


def _mean_ratings(runs: Replicates) -> Row:
    """Return `chosen_rating` and `rejected_rating`: means over pairs and dimensions, 1 to 5."""
    ratings = _selections(runs)[0].get("mean_rating_selected", {})
    return {f"{side}_rating": _mean_of_all(ratings.get(side, {}).values()) for side in SIDES}


def _selections(runs: Replicates) -> list[dict[str, Any]]:
    """Return the counts of stage select of each run; empty where there are none."""
    results = [run.result for run in runs]
    return [
        result.counts.get("select", {}) if isinstance(result, Result) else {} for result in results
    ]


def _mean_of_all(numbers: Iterable[float | None]) -> float | None:
    """Return the mean; None where one is missing, or all are."""
    given = list(numbers)
    known = [number for number in given if number is not None]
    return round(sum(known) / len(known), 4) if known and len(known) == len(given) else None
