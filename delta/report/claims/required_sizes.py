"""Compute what would decide a claim that cannot be told: more questions, or more seeds."""

from typing import NamedTuple

from scipy import special

from delta.report.claims.measures import ONE_SIDED_ALPHA, Measurement
from delta.report.paper.claims import Claim
from delta.stats.contrasts import Contrast
from delta.stats.intervals import Z95
from delta.stats.power import (
    POWER,
    standard_errors_seen,
    times_the_questions,
    times_the_seeds,
)


class RequiredSizes(NamedTuple):
    """The sizes that would tell 4 times in 5, if the quantity is as measured."""

    difference: float  # from the rule's nearer bound, in the claim's unit
    questions: int | None  # in place of measured.questions; None: no number alone would do
    seeds: int | None  # in place of measured.seeds
    both: tuple[int, int] | None = None  # questions and seeds, where neither alone would do


def required_sizes(claim: Claim, measured: Measurement, tests: float) -> RequiredSizes:
    """Return what would decide a claim whose p is corrected for `tests` tests."""
    difference = _distance(claim, measured)
    # What a corrected test sees is what a single one does times this.
    z_power = float(special.ndtri(POWER))
    z_corrected = -float(special.ndtri(ONE_SIDED_ALPHA / max(1.0, tests)))
    target = difference * (Z95 + z_power) / (z_corrected + z_power)
    if measured.contrast is None:
        factor = (measured.sees / target) ** 2
        return RequiredSizes(difference, _times(measured.questions, factor), None)
    by_questions = times_the_questions(measured.contrast, target / 100)
    by_seeds = times_the_seeds(measured.contrast, target / 100) if measured.seeds else None
    questions, seeds = _times(measured.questions, by_questions), _times(measured.seeds, by_seeds)
    if questions is not None or seeds is not None:
        return RequiredSizes(difference, questions, seeds)
    return RequiredSizes(difference, None, None, _both(measured, measured.contrast, target / 100))


def _both(measured: Measurement, contrast: Contrast, difference: float) -> tuple[int, int] | None:
    """Return the questions and seeds that each bring half of the variance that may be left."""
    tested = contrast.tested()
    half = (difference / standard_errors_seen(tested.df)) ** 2 / 2
    by_seeds = contrast.seed_error**2
    questions = _times(measured.questions, (tested.standard_error**2 - by_seeds) / half)
    seeds = _times(measured.seeds, by_seeds / half)
    return None if questions is None or seeds is None else (questions, seeds)


def _times(number: int, factor: float | None) -> int | None:
    """Return so many times a number, rounded up; never fewer than one more than today's."""
    return None if factor is None else max(number + 1, -int(-number * factor // 1))


def _distance(claim: Claim, measured: Measurement) -> float:
    """Return how far the value is from the bound that it could be told from most easily.

    It is at least half of the margin, and at most the whole of it: if the truth is on a bound, no
    number of questions would do.
    """
    sign = -1.0 if claim.rule == "below" else 1.0
    value = sign * (measured.value - claim.threshold)
    if claim.rule in ("above", "below"):
        smallest = claim.smallest * measured.bound_unit
        if not smallest:  # no gain is sure: only the sign can be told
            return max(abs(value), measured.sees / 10)
        return min(smallest, max(value, smallest - value))
    margin = claim.margin * measured.bound_unit
    inside = margin - (abs(value) if claim.rule == "equivalent" else -value)
    return min(margin, max(abs(inside), margin / 2))
