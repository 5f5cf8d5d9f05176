"""The parameters of stage `analyze`, apart from what needs SciPy: every command checks them."""

from typing import Annotated

from pydantic import Field

from delta.analysis.human_ratings import HumanParams
from delta.core.params import StrictModel


class AnalysisParams(StrictModel):
    k: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]  # sizes of the top sets
    resamples: Annotated[int, Field(ge=2)]  # draws of the votes, for how stable the sets are
    seed: Annotated[int, Field(ge=0)]  # of these draws
    human: HumanParams | None  # ratings by people; null: none
