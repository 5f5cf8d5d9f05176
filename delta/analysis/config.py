"""Parameters of stage `analyze`. Every command checks them, so this module imports no SciPy."""

from typing import Annotated

from pydantic import Field

from delta.analysis.human_ratings import HumanParams
from delta.core.params import StrictModel


class AnalysisParams(StrictModel):
    """The section `analysis` of params.yaml."""

    k: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]  # sizes of the top sets
    resamples: Annotated[int, Field(ge=2)]  # of the votes, for the stability of the sets
    seed: Annotated[int, Field(ge=0)]  # of the resamples
    human: HumanParams | None  # ratings by people; null: none
