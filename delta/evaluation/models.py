"""Which models are evaluated, how they are asked, and which of them the policy is compared with."""

from typing import Annotated

from pydantic import Field

from delta.core.params import StrictModel
from delta.core.paths import POLICY


class EvaluationSampling(StrictModel):
    """As SamplingParams; how long a reply may be is each benchmark's own."""

    temperature: Annotated[float, Field(ge=0)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    seed: Annotated[int, Field(ge=0)]


class EvaluatedParams(StrictModel):
    """What is evaluated under one name: a model, asked as a generator or as the policy is."""

    model: str  # a name in `models`, or "policy"
    examples: Annotated[int, Field(ge=0)]  # worked examples before each question


class EvaluationParams(StrictModel):
    models: Annotated[dict[str, EvaluatedParams], Field(min_length=1)]
    sampling: EvaluationSampling


def bases(models: dict[str, EvaluatedParams], base: str) -> list[str]:
    """The names under which the base model is asked as the policy is: what it is compared with."""
    policy = models[POLICY]
    return [
        name
        for name, entry in models.items()
        if (entry.model, entry.examples) == (base, policy.examples)
    ]
