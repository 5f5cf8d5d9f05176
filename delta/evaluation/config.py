"""The parameters of the stage evaluate: the models, their sampling, the policy's baseline."""

from typing import Annotated

from pydantic import Field

from delta.core.params import Name, StrictModel
from delta.core.paths import POLICY


class EvaluationSampling(StrictModel):
    """SamplingParams without max_tokens, which each benchmark has."""

    temperature: Annotated[float, Field(ge=0)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    seed: Annotated[int, Field(ge=0)]


class EvaluatedModelParams(StrictModel):
    """A model with a number of worked examples; each combination has a name."""

    model: str  # a name in `models` or `sft_models`, or "policy"
    examples: Annotated[int, Field(ge=0)]  # worked examples before each question


class EvaluationParams(StrictModel):
    models: Annotated[dict[Name, EvaluatedModelParams], Field(min_length=1)]
    sampling: EvaluationSampling


def baselines(models: dict[str, EvaluatedModelParams], base: str) -> list[str]:
    """Return the names of entries with the base model and as many worked examples as the policy."""
    policy = models[POLICY]
    return [
        name
        for name, entry in models.items()
        if (entry.model, entry.examples) == (base, policy.examples)
    ]
