"""The section `certify` of params.yaml: the pairs on which every rater of the run is tried."""

from typing import Annotated, Literal

from pydantic import Field

from delta.core.params import Name, StrictModel
from delta.data.arithmetic import ArithmeticParams
from delta.data.sources import DataSource


class PlantedSource(StrictModel):
    """Faults that are planted in worked solutions of arithmetic problems."""

    format: Literal["planted"]
    arithmetic: ArithmeticParams | None  # null: the run's own problems, those with known steps


class PrmBenchSource(StrictModel):
    """Rows of PRMBench as published: `original_process`, `modified_process`, `classification`."""

    format: Literal["prmbench"]
    data: DataSource


class TableSource(StrictModel):
    """Rows of a user: `statement`, `clean`, `faulty`, `fault`, and `dimension` where there is one.

    `dimension` is one of the rubric's; null: the fault belongs to no single dimension.
    """

    format: Literal["table"]
    data: DataSource


PairSource = Annotated[PlantedSource | PrmBenchSource | TableSource, Field(discriminator="format")]


class CertifyParams(StrictModel):
    """The section `certify` of params.yaml."""

    # The first source with pairs for a dimension decides its verdict.
    sources: dict[Name, PairSource]
    pairs: Annotated[int, Field(ge=8)]  # at most, per source and fault
    smallest_delta: Annotated[float, Field(gt=0, le=4)]  # points; a smaller reaction is no sight
    seed: int  # of the choice of pairs and of the planted faults
