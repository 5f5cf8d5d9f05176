"""What the paper printed (numbers.yaml) and what it says it found (claims.yaml), as data."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from delta.core.params import Name, StrictModel

HERE = Path(__file__).parent

Side = str | dict[str, str]  # base, full, or which runs: an experiment, and axis → entry
Domains = list[str]


class Scores(StrictModel):
    """The mean score of `ours` less that of `theirs`, over `domains`, less that over `against`."""

    domains: Domains
    against: Domains = Field(default_factory=list)
    ours: list[Side]
    theirs: list[Side]


class Rise(StrictModel):
    """By how much scores rise along an axis: over all of it (rank), or per point of delta."""

    domains: Domains
    against: Domains = Field(default_factory=list)
    along: Side
    axis: str
    places: Literal["rank", "delta"]


class Delta(StrictModel):
    """The mean delta of the traces of one generator against those of another."""

    chosen: str
    rejected: str
    dimension: str


class Overlap(StrictModel):
    """How many percent two top-k sets share, or by how much more than two others."""

    ours: dict[str, str]  # k, dimension, other; left out: the mean of all
    less: dict[str, str] | None = None


class Claim(StrictModel):
    """One claim and the rule that decides it (delta.report.claims.rules)."""

    id: Name
    family: Name  # a table or figure: p-values are corrected within it
    where: str
    statement: str
    printed: str | None = None  # in the paper's numbers
    paper: float | dict[str, float] | None = None  # the same quantity as ours; by part if several
    rule: Literal["above", "below", "equivalent", "not-below"]
    than: float = 0.0  # of the first two rules
    margin: float = 0.0  # of the last two
    unit: Literal["points", "percent", "delta"]  # of the quantity, than and margin
    # One part of the claim for each choice of entries.
    each: dict[str, list[str]] = Field(default_factory=dict)
    of: Scores | Rise | Delta | Overlap


class Claims(StrictModel):
    claims: list[Claim]


def claims() -> list[Claim]:
    """In the paper's order."""
    return Claims.model_validate(_read("claims.yaml")).claims


def numbers() -> dict[str, Any]:
    return dict(_read("numbers.yaml"))


def _read(name: str) -> Any:
    return yaml.safe_load((HERE / name).read_text(encoding="utf-8"))
