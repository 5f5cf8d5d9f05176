"""The faults that a solution can have, and the dimension of the rubric that each belongs to.

Per step: a wrong operation, a slip of arithmetic, a number that the problem does not give. Per
trace: a step left out, a conclusion that does not follow, a line without content, a line twice.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

STEP_FAULTS = ("wrong_operation", "slip", "invented_number")
TRACE_FAULTS = ("omitted_step", "unsupported_conclusion", "filler", "repetition")
FAULTS = (*STEP_FAULTS, *TRACE_FAULTS)

DIMENSION_OF: Mapping[str, str] = {
    "wrong_operation": "strategy_coherence",
    "slip": "computational_precision",
    "invented_number": "factuality",
    "omitted_step": "step_coherence",
    "unsupported_conclusion": "step_coherence",
    "filler": "signal_to_noise",
    "repetition": "signal_to_noise",
}

Fault = Literal[
    "wrong_operation",
    "slip",
    "invented_number",
    "omitted_step",
    "unsupported_conclusion",
    "filler",
    "repetition",
]
# The probability of each fault, in every step or in every trace; 0 where it is not named.
FaultRates = dict[Fault, Annotated[float, Field(ge=0, le=1)]]
