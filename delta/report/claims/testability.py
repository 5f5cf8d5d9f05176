"""Check that a claim can be tested here; if not, no number of questions and seeds would do."""

from collections.abc import Iterable

from delta.certificate.read import JUDGE
from delta.core.types import Row
from delta.experiments.results import Result
from delta.report.claims.contrast import Replicates
from delta.report.context import TIES, NotTestableError, ReportContext
from delta.report.paper.claims import ScoreDifference, TopkOverlap

# Ours: below 5% or above 95% right, a base has no room for a difference of a few points.
FLOOR, CEILING = 0.05, 0.95
MAX_TIED = 0.25  # ours: of a top-k set, the largest share that ties at the cut and is drawn by lot
ONE_SIZE = "only one k in figure 4"
BLIND = "blind"  # the certificate's verdict on a dimension that the judge does not see


def check_generators(context: ReportContext, generators: Iterable[str]) -> None:
    """Raise NotTestableError where a generator is the base."""
    for name in generators:
        facts = context.generators.get(name)
        if facts is not None and facts.model == context.base_model:
            raise NotTestableError(f"the generator {name} is the base itself")


def check_domains(context: ReportContext, domains: Iterable[str]) -> None:
    """Raise NotTestableError where a domain has no benchmark, or no room for the base to move."""
    scores = context.models[context.base].scores
    for domain in dict.fromkeys(domains):
        names = context.benchmarks(domain)
        if not all(name in scores for name in names):
            continue
        score = sum(scores[name]["value"] for name in names) / len(names)
        if not FLOOR <= score <= CEILING:
            end = "floor" if score < FLOOR else "ceiling"
            raise NotTestableError(f"the base is at the {end} in {domain} ({100 * score:.1f}%)")


def check_sizes(context: ReportContext, quantity: ScoreDifference | TopkOverlap) -> None:
    """Raise NotTestableError where a quantity compares sizes and there is one."""
    text = quantity.model_dump_json()
    compares = all(f"figure-4.k.{end}" in text for end in ("first", "last"))
    if compares and len(context.entries("figure-4", "k")) < 2:
        raise NotTestableError(ONE_SIZE)


def check_dimension(context: ReportContext, dimension: str) -> None:
    """Raise NotTestableError where the certificate says that the judge is blind."""
    seen = context.certificates.get(JUDGE, {}).get("dimensions", {})
    if seen.get(dimension, {}).get("verdict") == BLIND:
        raise NotTestableError(f"the judge does not see {dimension.replace('_', ' ')}")


def leave_out(
    context: ReportContext, groups: list[Replicates]
) -> tuple[tuple[str, ...], list[Replicates]]:
    """Return why some runs cannot be tested, and the others.

    Raises NotTestableError where none can.
    """
    reasons: dict[str, None] = {}
    kept = []
    for runs in groups:
        try:
            check_dimension(context, runs[0].axes.get("by", ""))
            _check_ties(runs)
            kept.append(runs)
        except NotTestableError as error:
            reasons[str(error)] = None
    if not kept:
        raise NotTestableError(next(iter(reasons)))
    return tuple(reasons), kept


def _check_ties(runs: Replicates) -> None:
    select = _selection(runs)
    tied, drawn = select.get("tied_at_cut"), select.get("tied_and_selected")
    if tied and drawn and tied > drawn > MAX_TIED * select["selected"]:
        raise NotTestableError(
            f"{drawn} of the {select['selected']} pairs by {_label(runs)} tie at the cut"
        )


def overlap(context: ReportContext, row: Row) -> str | None:
    """Return why an overlap of two top-k sets cannot be tested; None where it can."""
    for dimension in (row["dimension"], row["other"]):
        try:
            check_dimension(context, dimension)
        except NotTestableError as error:
            return str(error)
        for ties in context.analysis.get(TIES, []):
            if (ties["dimension"], ties["k"]) != (dimension, row["k"]) or not ties["tied"]:
                continue
            if ties["tied"] > ties["tied_and_in"] > MAX_TIED * ties["k"]:
                return (
                    f"{ties['tied_and_in']} of the {ties['k']} pairs by "
                    f"{dimension.replace('_', ' ')} tie at the cut"
                )
    return None


def check_pair_sets(first: list[Replicates], second: list[Replicates]) -> None:
    """Raise NotTestableError where both sides train alike on the same pairs."""
    sides = [{run.policy for runs in side for run in runs} for side in (first, second)]
    if sides[0] == sides[1] and None not in sides[0]:
        raise NotTestableError("both sides train on the same pairs")


def _selection(runs: Replicates) -> Row:
    """Return the counts of stage select; empty where they were not recorded."""
    result = runs[0].result
    return result.counts.get("select", {}) if isinstance(result, Result) else {}


def _label(runs: Replicates) -> str:
    return runs[0].axes.get("by", "score").replace("_", " ")
