"""Test a value against any bound, one-sided, by the distribution of the value's interval.

`p_above(bound)` is the p of "the value is at most `bound`": a small one says that it is above.
`p_below(bound)` is the p of "the value is at least `bound`". The 95% interval's lower end is where
`p_above` is 0.025, the upper end where `p_below` is.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from scipy import optimize, special

from delta.stats.intervals import Interval, t95, wilson

MAX_Z = 37.0  # standard normal; the smallest p that a float can hold lies beyond it

Rule = Literal["above", "below", "equivalent", "not-below"]


class OneSidedTests(Protocol):
    """A value with its one-sided tests."""

    def p_above(self, bound: float) -> float:
        """Return the p of "the value is at most `bound`"."""

    def p_below(self, bound: float) -> float:
        """Return the p of "the value is at least `bound`"."""


class RulePs(NamedTuple):
    """The p-values of a rule's two tests."""

    holds: float  # a small one says that the rule holds
    refuted: float  # a small one says that it does not


def rule_ps(
    rule: Rule,
    value: OneSidedTests,
    *,
    threshold: float = 0.0,
    margin: float = 0.0,
    smallest_effect: float = 0.0,
) -> RulePs:
    """Return the one-sided tests by which a rule holds and does not hold.

    above, below: beyond `threshold`; refuted where the value is not even `smallest_effect` beyond.
    equivalent: within +- `margin`, by two tests that must both reject (Schuirmann 1987).
    not-below: above -`margin`.
    """
    match rule:
        case "above":
            return RulePs(value.p_above(threshold), value.p_below(threshold + smallest_effect))
        case "below":
            return RulePs(value.p_below(threshold), value.p_above(threshold - smallest_effect))
        case "equivalent":
            inside = max(value.p_above(-margin), value.p_below(margin))
            outside = 2 * min(value.p_above(margin), value.p_below(-margin))
            return RulePs(inside, min(1.0, outside))
        case "not-below":
            return RulePs(value.p_above(-margin), value.p_below(-margin))


class StudentT(NamedTuple):
    """An estimate with Student's t as its distribution."""

    centre: float
    standard_error: float
    df: float

    def p_above(self, bound: float) -> float:
        """Return the p of "the value is at most `bound`"."""
        distance = self.centre - bound
        if self.standard_error == 0:
            return float(distance <= 0)
        return float(special.stdtr(self.df, -distance / self.standard_error))

    def p_below(self, bound: float) -> float:
        """Return the p of "the value is at least `bound`"."""
        return StudentT(-self.centre, self.standard_error, self.df).p_above(-bound)

    def interval(self) -> Interval:
        """Return the 95% interval."""
        half_width = t95(self.df) * self.standard_error
        return Interval(self.centre, self.centre - half_width, self.centre + half_width)


def student_t_of_interval(value: float, low: float, high: float, df: float) -> StudentT:
    """Return the distribution of a mean from its 95% interval by Student's t.

    A clipped bound is nearer to the value than the other, so the wider side gives the error.
    """
    return StudentT(value, max(value - low, high - value) / t95(df), df)


class Proportion(NamedTuple):
    """A proportion of independent trials, with its weight in a sum."""

    weight: float
    proportion: float
    trials: float


class ProportionSum(NamedTuple):
    """A weighted sum of proportions that are measured on the same trials, or on related ones.

    A bound of the sum is the sum of the parts' Wilson bounds, the farthest where a weight is
    negative: right for one proportion, too wide rather than too narrow for several.
    """

    parts: tuple[Proportion, ...]

    @property
    def value(self) -> float:
        """Return the sum."""
        return math.fsum(part.weight * part.proportion for part in self.parts)

    def lower(self, z: float) -> float:
        """Return the lower bound at `z` standard errors."""
        return math.fsum(part.weight * _bounds(part, z)[part.weight < 0] for part in self.parts)

    def upper(self, z: float) -> float:
        """Return the upper bound at `z` standard errors."""
        return math.fsum(part.weight * _bounds(part, z)[part.weight > 0] for part in self.parts)

    def p_above(self, bound: float) -> float:
        """Return the p of "the value is at most `bound`"."""
        if self.value >= bound:
            return float(special.ndtr(-_crossing(lambda z: self.lower(z) - bound)))
        return float(special.ndtr(_crossing(lambda z: bound - self.upper(z))))

    def p_below(self, bound: float) -> float:
        """Return the p of "the value is at least `bound`"."""
        return 1 - self.p_above(bound) if self.value >= bound else self._p_of_upper(bound)

    def _p_of_upper(self, bound: float) -> float:
        return float(special.ndtr(-_crossing(lambda z: bound - self.upper(z))))


def _bounds(part: Proportion, z: float) -> tuple[float, float]:
    if z == 0:
        return part.proportion, part.proportion
    interval = wilson(part.proportion, part.trials, z)
    return interval.low, interval.high


def _crossing(distance: Callable[[float], float]) -> float:
    """Return the z at which a bound, which is inside at 0, reaches what it is compared with."""
    if distance(MAX_Z) > 0:
        return MAX_Z
    return float(optimize.brentq(distance, 0.0, MAX_Z)) if distance(0.0) > 0 else 0.0
