"""Read the claims that the paper makes (claims.yaml)."""

from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import Field, TypeAdapter, model_validator

from delta.core.params import Name, StrictModel

CLAIMS = Path(__file__).with_name("claims.yaml")

# "base", "full", or an experiment with the entry of each axis that is fixed.
RunSelector = str | dict[str, str]
Rule = Literal["above", "below", "equivalent", "not-below"]


class ScoreDifference(StrictModel):
    """The mean score of `runs` minus that of `baseline`, over the benchmarks of `domains`.

    With `minus_domains`, the same difference over those domains is subtracted. With `sums`, the
    scores of each side are added rather than averaged, for an interaction.
    """

    domains: list[str]
    minus_domains: list[str] = Field(default_factory=list)
    runs: list[RunSelector]
    baseline: list[RunSelector]
    sums: bool = False


class ScoreTrend(StrictModel):
    """How much scores rise with the chosen generator, by a least-squares line.

    strength: from the weakest generator to the strongest, at their measured strengths; delta: per
    point of mean delta.
    """

    domains: list[str]
    minus_domains: list[str] = Field(default_factory=list)
    runs: RunSelector
    axis: str
    positions: Literal["strength", "delta"]


class FirstPairsGain(StrictModel):
    """The gain by the first k pairs, less the gain that later ones bring per as many pairs.

    k is the smallest size of the experiment's axis `k`; the later pairs are those up to the largest
    size. Above 0, the gain is a concave function of the number of pairs.
    """

    domains: list[str]
    runs: dict[str, str]


class MeanRegret(StrictModel):
    """How far `entry` is below the best entry of `axis`, on average over domains and sizes.

    The best entry is that of each domain and size by its measured score.
    """

    domains: list[str]
    runs: dict[str, str]
    axis: str
    entry: str


class MeanDelta(StrictModel):
    """The mean delta of the traces of one generator against those of another."""

    chosen: str
    rejected: str
    dimension: str


class TopkOverlap(StrictModel):
    """The overlap of two top-k sets in percent, or its difference from that of two others.

    Each dimension breaks its ties at random, so that ties alone make no overlap beyond chance.
    """

    sets: dict[str, str]  # k, dimension, other; the mean over those that are left out
    minus: dict[str, str] | None = None


ScoreQuantity = ScoreDifference | ScoreTrend | FirstPairsGain | MeanRegret


class Claim(StrictModel):
    """A claim of the paper and the rule that decides it (delta.report.claims.rules)."""

    id: Name
    family: Name  # a table or figure: p-values are corrected within it
    source: str  # section, table or figure of the paper
    statement: str
    paper_text: str | None = None  # the numbers as the paper words them
    paper_value: float | dict[str, float] | None = None  # of the same quantity; by part if several
    rule: Rule
    threshold: float = 0.0  # of the rules above and below
    margin: float = 0.0  # of the rules equivalent and not-below
    smallest: float = 0.0  # of the rules above and below: the smallest effect of interest; ours
    unit: Literal["points", "percent", "delta"]  # of the quantity and the threshold
    # The run whose gain on math over the base is the unit of `margin` and `smallest`. None: `unit`.
    gain: RunSelector | None = None
    only_with_gain: RunSelector | None = None  # runs that must gain in the claim's domains
    not_the_base: list[str] = Field(default_factory=list)  # generators of another model than it
    for_each: dict[str, list[str]] = Field(default_factory=dict)  # one part for each combination
    quantity: ScoreQuantity | MeanDelta | TopkOverlap

    @model_validator(mode="after")
    def _has_what_its_rule_needs(self) -> Self:
        needed = "smallest" if self.rule in ("above", "below") else "margin"
        if not getattr(self, needed) > 0:
            raise ValueError(f"{self.id}: the rule {self.rule} needs {needed} above 0")
        if self.gain is not None and self.threshold != 0:
            raise ValueError(f"{self.id}: {self.threshold} is no share of a gain; expected 0")
        return self


def read_claims() -> list[Claim]:
    """Return the claims in the paper's order."""
    content = yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))
    return TypeAdapter(list[Claim]).validate_python(content)
