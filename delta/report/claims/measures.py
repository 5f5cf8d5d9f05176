"""Measure the quantities of claims.yaml: value, 95% interval, and a test against any bound."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from delta.report.claims import quantities, testability
from delta.report.claims.contrast import (
    Combination,
    Measured,
    SeedNoise,
    add,
    largest_cut,
    measure,
)
from delta.report.claims.selection import Selection, minus_domains
from delta.report.context import MissingResultError, NotTestableError, ReportContext
from delta.report.paper.claims import (
    Claim,
    MeanDelta,
    MeanRegret,
    ScoreDifference,
    ScoreQuantity,
    TopkOverlap,
)
from delta.stats import contrasts
from delta.stats.contrasts import Contrast
from delta.stats.intervals import Z95
from delta.stats.one_sided import (
    OneSidedTests,
    Proportion,
    ProportionSum,
    StudentT,
    student_t_of_interval,
)
from delta.stats.power import standard_errors_seen

ONE_SIDED_ALPHA = 0.025  # such a test rejects where the 95% interval leaves out the bound


class Measurement(NamedTuple):
    """A measured quantity, in the unit of its claim."""

    value: float
    low: float
    high: float
    cut: float | None  # percent of cut answers, the largest of its scores; None: not known
    sees: float  # the smallest difference that it finds 4 times in 5
    tested: OneSidedTests  # against bounds of which one is `bound_unit`
    bound_unit: float = 1.0  # of the claim's margins; 0: no gain is sure, so they mean nothing
    contrast: Contrast | None = None  # of scores, in fractions
    questions: int = 0  # or problems of a delta, or pairs of an overlap
    seeds: int = 0  # of each training; 0: nothing is trained
    left_out: tuple[str, ...] = ()  # why some runs are not in an average


class _InPoints(NamedTuple):
    """Tests of a quantity in fractions against bounds in points."""

    of: OneSidedTests

    def p_above(self, bound: float) -> float:
        return self.of.p_above(bound / 100)

    def p_below(self, bound: float) -> float:
        return self.of.p_below(bound / 100)


class _InShares(NamedTuple):
    """Tests of a quantity against shares of a gain.

    The quantity less a share of the gain is a contrast too, so the gain's own error counts.
    """

    less: Callable[[float], OneSidedTests]  # share → the quantity less that share of the gain

    def p_above(self, bound: float) -> float:
        return self.less(bound).p_above(0.0)

    def p_below(self, bound: float) -> float:
        return self.less(bound).p_below(0.0)


class Evaluator(Selection):
    """Evaluates quantities on the results of a profile.

    Every method raises MissingResultError, which says what is missing (NotTestableError: why no
    result would do), and InputError for results that cannot be compared.
    """

    def __init__(
        self,
        context: ReportContext,
        variables: dict[str, str] | None = None,
        noise: SeedNoise | None = None,
    ) -> None:
        super().__init__(context, variables)
        self.noise = SeedNoise(context) if noise is None else noise

    def evaluate(self, claim: Claim) -> Measurement:
        """Measure the quantity of a claim."""
        generators = [name for text in claim.not_the_base for name in self.resolve(text)]
        testability.check_generators(self.context, generators)
        match claim.quantity:
            case MeanDelta():
                return self.mean_delta(claim.quantity)
            case TopkOverlap():
                return self.topk_overlap(claim.quantity)
            case MeanRegret():
                return self._mean_regret(claim.quantity, claim)
            case _:
                self._check_domains(claim.quantity)
                left_out, combined = quantities.score_combination(self, claim.quantity)
                result = self._measurement(combined, left_out)
                return self._against_gain(claim, result, combined)

    def score_difference(self, quantity: ScoreDifference) -> Measurement:
        """Measure a difference of scores, in points."""
        left_out, combined = quantities.score_combination(self, quantity)
        return self._measurement(combined, left_out)

    def _measurement(self, combined: Combination, left_out: tuple[str, ...]) -> Measurement:
        measured = measure(combined, self.noise)
        runs = [run for configuration in combined.values() for run in configuration.runs]
        names = {name for configuration in combined.values() for name in configuration.weights}
        return _of_scores(measured, largest_cut(runs, names), left_out)

    def _against_gain(
        self, claim: Claim, result: Measurement, combined: Combination
    ) -> Measurement:
        """Return the measurement with tests in shares of the claim's gain, if it has one."""
        if claim.only_with_gain is not None:
            assert not isinstance(claim.quantity, MeanDelta | TopkOverlap)
            weights = self.domain_weights(claim.quantity)
            size = measure(quantities.gain(self, claim.only_with_gain, weights), self.noise)
            if size.contrast.p_above(0.0) > ONE_SIDED_ALPHA:
                raise NotTestableError(f"there is no gain to divide ({_points(size.contrast)})")
        if claim.gain is None:
            return result
        gain, unit = self._gain_on_math(claim)
        if unit == 0:
            return result
        tested = _InShares(lambda share: measure(add(combined, gain, -share), self.noise).contrast)
        return result._replace(tested=tested, bound_unit=unit)

    def _gain_on_math(self, claim: Claim) -> tuple[Combination, float]:
        """Return the claim's gain and its size in points; 0 where it may be none.

        Without a gain, the sign of a quantity can still be told, but no margin means anything.
        """
        assert claim.gain is not None
        by_sign = claim.rule in ("above", "below")
        try:
            testability.check_domains(self.context, ["math"])
            gain = quantities.gain(self, claim.gain, {"math": 1.0})
            size = measure(gain, self.noise).contrast
        except MissingResultError:
            if by_sign:
                return {}, 0.0
            raise
        if size.p_above(0.0) <= ONE_SIDED_ALPHA:
            return gain, 100 * size.value
        if by_sign:
            return {}, 0.0
        raise NotTestableError(f"there is no gain on math to compare with ({_points(size)})")

    def _mean_regret(self, quantity: MeanRegret, claim: Claim) -> Measurement:
        self._check_domains(quantity)
        regret = quantities.regret(self, quantity)
        result = self._measurement(regret.to_best, regret.left_out)
        lead = 100 * regret.lead
        value, low, high = (number - lead for number in result[:3])
        result = result._replace(value=value, low=low, high=max(value, min(0.0, high)))
        gain, unit = self._gain_on_math(claim)
        return result._replace(tested=regret.tests(self.noise, gain), bound_unit=unit)

    def _check_domains(self, quantity: ScoreQuantity) -> None:
        texts = (*quantity.domains, *minus_domains(quantity))
        testability.check_domains(self.context, [self.resolve_one(text) for text in texts])

    def mean_delta(self, quantity: MeanDelta) -> Measurement:
        """Look up a mean delta, in points of the rating scale."""
        texts = (quantity.chosen, quantity.rejected, quantity.dimension)
        chosen, rejected, dimension = map(self.resolve_one, texts)
        testability.check_dimension(self.context, dimension)
        if chosen == rejected:
            raise NotTestableError(f"only one generator: {chosen}")
        row = quantities.delta_of(self, chosen, rejected, dimension)
        if row["low"] is None:
            pair, problems = f"{chosen} against {rejected}", row["problems"]
            if problems == 1:
                raise MissingResultError(f"{pair}: no interval for one problem")
            raise NotTestableError(f"{pair}: all {problems} deltas in {dimension} are equal")
        value, low, high = row["delta"], row["low"], row["high"]
        tested = student_t_of_interval(value, low, high, row["problems"] - 1)
        return Measurement(value, low, high, 0.0, _seen(tested), tested, questions=row["problems"])

    def topk_overlap(self, quantity: TopkOverlap) -> Measurement:
        """Measure an overlap, in percent. Each of the k pairs is a trial of "is in the other set".

        A pair that ties at the cut counts by its chance to be in both sets if each dimension broke
        its ties at random, so that ties alone overlap no more than chance.
        """
        testability.check_sizes(self.context, quantity)
        left_out, parts = self._overlaps(quantity.sets, 1.0)
        if quantity.minus is not None:
            more, minus = self._overlaps(quantity.minus, -1.0)
            left_out, parts = [*left_out, *more], [*parts, *minus]
        overlap = ProportionSum(tuple(parts))
        value, low, high = overlap.value, overlap.lower(Z95), overlap.upper(Z95)
        error = StudentT(value, (high - low) / 2 / Z95, math.inf)
        return Measurement(
            100 * value,
            100 * low,
            100 * high,
            cut=0.0,
            sees=100 * _seen(error),
            tested=_InPoints(overlap),
            questions=int(min(part.trials for part in parts)),
            left_out=tuple(dict.fromkeys(left_out)),
        )

    def _overlaps(self, sets: dict[str, str], sign: float) -> tuple[list[str], list[Proportion]]:
        wanted = {column: self.resolve_one(text) for column, text in sets.items()}
        rows = [
            row
            for row in self.context.overlaps
            if all(str(row[column]) == entry for column, entry in wanted.items())
        ]
        if not rows:
            raise MissingResultError(f"no overlap of {' and '.join(wanted.values())}")
        for row in rows:
            if row["overlap"] is None:
                raise MissingResultError(f"overlap at k = {row['k']}: {row['why']}")
        reasons = [testability.overlap(self.context, row) for row in rows]
        kept = [row for row, reason in zip(rows, reasons, strict=True) if reason is None]
        left_out = [reason for reason in reasons if reason is not None]
        if not kept:
            raise NotTestableError(left_out[0])
        return left_out, [
            Proportion(sign / len(kept), row["overlap_own_ties"] / 100, row["k"]) for row in kept
        ]


def _of_scores(measured: Measured, cut: float | None, left_out: Iterable[str]) -> Measurement:
    contrast = measured.contrast
    return Measurement(
        100 * contrast.value,
        100 * contrast.low,
        100 * contrast.high,
        cut=cut,
        sees=100 * _seen(contrast.tested()),
        tested=_InPoints(contrast),
        contrast=contrast,
        questions=measured.questions,
        seeds=measured.seeds,
        left_out=tuple(left_out),
    )


def _points(contrast: Contrast) -> str:
    return contrasts.format_difference(contrast).replace("-", "−") + " points"


def _seen(tested: StudentT) -> float:
    return tested.standard_error * standard_errors_seen(tested.df)
