"""Compute the weight that each training has in a quantity of scores."""

from delta.core.types import Row
from delta.report.claims import testability
from delta.report.claims.contrast import Combination, Replicates, combination
from delta.report.claims.regret import Regret
from delta.report.claims.selection import Selection, experiment_of
from delta.report.context import MODELS, MissingResultError, NotTestableError
from delta.report.paper.claims import (
    FirstPairsGain,
    MeanRegret,
    RunSelector,
    ScoreDifference,
    ScoreTrend,
)
from delta.stats.contrasts import trend_weights

Reasons = tuple[str, ...]  # why some runs are left out of an average
Weighted = list[tuple[Replicates, bool, float]]  # runs, whether they are trained, weight
MEAN = "mean"  # over all dimensions, among the rows of deltas


def score_combination(
    find: Selection, quantity: ScoreDifference | ScoreTrend | FirstPairsGain
) -> tuple[Reasons, Combination]:
    """Return what is left out of an average, and the weights of all configurations."""
    match quantity:
        case ScoreDifference():
            left_out, groups = _difference(find, quantity)
        case ScoreTrend():
            left_out, groups = (), _trend(find, quantity)
        case FirstPairsGain():
            left_out, groups = _first_pairs_gain(find, quantity)
    return left_out, combination(groups, find.benchmarks(find.domain_weights(quantity)))


def gain(find: Selection, selector: RunSelector, domains: dict[str, float]) -> Combination:
    """Return the gain of some runs over the base."""
    groups = find.select_runs(selector)
    trained = [(runs, True, 1 / len(groups)) for runs in groups]
    return combination([*trained, *_base(find)], find.benchmarks(domains))


def regret(find: Selection, quantity: MeanRegret) -> Regret:
    """Return the regret of a quantity, without the entries that cannot be tested."""
    reasons, groups = testability.leave_out(find.context, find.select_runs(quantity.runs))
    if not any(runs[0].axes[quantity.axis] == quantity.entry for runs in groups):
        raise NotTestableError(reasons[0] if reasons else f"no {quantity.entry}")
    if len({runs[0].axes[quantity.axis] for runs in groups}) < 2:
        raise NotTestableError(reasons[0] if reasons else f"only one {quantity.axis}")
    benchmarks = [find.benchmarks({domain: 1.0}) for domain in quantity.domains]
    return Regret(groups, quantity.axis, quantity.entry, benchmarks, reasons)


def delta_of(find: Selection, chosen: str, rejected: str, dimension: str) -> Row:
    """Return the row of a mean delta. Raises MissingResultError where there is none."""
    for row in find.context.deltas:
        key = (row["chosen"], row["rejected"], row["dimension"])
        if key == (chosen, rejected, dimension) and row["delta"] is not None:
            return row
    raise MissingResultError(f"no delta of {chosen} against {rejected} in {dimension}")


def _base(find: Selection) -> Weighted:
    return [(runs, False, -1.0) for runs in find.select_runs("base")]


def _difference(find: Selection, quantity: ScoreDifference) -> tuple[Reasons, Weighted]:
    testability.check_sizes(find.context, quantity)
    groups: Weighted = []
    sides: list[list[Replicates]] = []
    left_out: dict[str, None] = {}
    for sign, selectors in ((1.0, quantity.runs), (-1.0, quantity.baseline)):
        side: list[Replicates] = []
        for selector in selectors:
            reasons, selected = testability.leave_out(find.context, find.select_runs(selector))
            left_out |= dict.fromkeys(reasons)
            weight = sign / len(selected) / (1 if quantity.sums else len(selectors))
            trained = experiment_of(selector) != MODELS
            groups += [(runs, trained, weight) for runs in selected]
            side += selected
        sides.append(side)
    testability.check_pair_sets(*sides)
    return tuple(left_out), groups


def _trend(find: Selection, quantity: ScoreTrend) -> Weighted:
    groups = find.select_runs(quantity.runs)
    entries = [runs[0].axes[quantity.axis] for runs in groups]
    if len(set(entries)) < 2:
        raise NotTestableError(f"only one {quantity.axis}: no trend to measure")
    if quantity.positions == "delta":
        rejected = find.context.rejected
        positions = [delta_of(find, name, rejected, MEAN)["delta"] for name in entries]
    else:
        strengths = find.context.by_strength(entries)
        low, high = min(strengths.values()), max(strengths.values())
        positions = [(strengths[name] - low) / ((high - low) or 1.0) for name in entries]
    if len(set(positions)) < 2:
        raise NotTestableError(f"all of {quantity.axis} are equal: no trend to measure")
    weights = trend_weights(positions)
    return [(runs, True, weight) for runs, weight in zip(groups, weights, strict=True)]


def _first_pairs_gain(find: Selection, quantity: FirstPairsGain) -> tuple[Reasons, Weighted]:
    sizes = find.context.entries(quantity.runs["experiment"], "k")
    if len(sizes) < 2:
        raise NotTestableError(testability.ONE_SIZE)
    reasons: dict[str, None] = {}
    sides: list[list[Replicates]] = []
    for k in (sizes[0], sizes[-1]):
        left_out, groups = testability.leave_out(
            find.context, find.select_runs({**quantity.runs, "k": k})
        )
        reasons |= dict.fromkeys(left_out)
        sides.append(groups)
    small, large = ({runs[0].axes["by"] for runs in side} for side in sides)
    if not small & large:
        raise NotTestableError(next(iter(reasons)))
    share = int(sizes[0]) / (int(sizes[-1]) - int(sizes[0]))
    weighted = _base(find)
    for side, weight in zip(sides, (1 + share, -share), strict=True):
        kept = [runs for runs in side if runs[0].axes["by"] in small & large]
        weighted += [(runs, True, weight / len(kept)) for runs in kept]
    return tuple(reasons), weighted
