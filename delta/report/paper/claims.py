"""The claims that the paper makes (claims.yaml)."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, TypeAdapter

from delta.core.params import Name, StrictModel

CLAIMS = Path(__file__).with_name("claims.yaml")

# "base", "full", or an experiment with the entry of each axis that is fixed.
RunSelector = str | dict[str, str]
Rule = Literal["above", "below", "equivalent", "not-below"]


class ScoreDifference(StrictModel):
    """The mean score of `runs` minus that of `baseline`, over the benchmarks of `domains`.

    With `minus_domains`, the same difference over those domains is subtracted.
    """

    domains: list[str]
    minus_domains: list[str] = Field(default_factory=list)
    runs: list[RunSelector]
    baseline: list[RunSelector]


class ScoreTrend(StrictModel):
    """How much scores rise along an axis: over the whole axis (rank), or per point of delta."""

    domains: list[str]
    minus_domains: list[str] = Field(default_factory=list)
    runs: RunSelector
    axis: str
    positions: Literal["rank", "delta"]


class MeanDelta(StrictModel):
    """The mean delta of the traces of one generator against those of another."""

    chosen: str
    rejected: str
    dimension: str


class TopkOverlap(StrictModel):
    """The overlap of two top-k sets in percent, or its difference from that of two others."""

    sets: dict[str, str]  # k, dimension, other; the mean over those that are left out
    minus: dict[str, str] | None = None


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
    unit: Literal["points", "percent", "delta"]  # of the quantity, the threshold and the margin
    for_each: dict[str, list[str]] = Field(default_factory=dict)  # one part for each combination
    quantity: ScoreDifference | ScoreTrend | MeanDelta | TopkOverlap


def read_claims() -> list[Claim]:
    """Return the claims in the paper's order."""
    content = yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))
    return TypeAdapter(list[Claim]).validate_python(content)
