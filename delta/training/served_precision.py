"""Whether the policy's update survives the dtype in which the engine serves it.

A base in bfloat16 lies on bfloat16's grid, so what training adds is lost where it stays below half
a step of it. Of the update of 16 DPO steps on SmolLM2-135M, scaled to other learning rates, this
part was left (the projection of the served update on the trained one; more steps leave more):

    learning rate   5e-8    1e-6    5e-6    1e-5    2e-5
    bfloat16        0.1%    1%      6%      11%     22%
    float16         0.5%    8%      41%     68%     92%

Merging adapters into the weights rounds them as well: 16 steps of LoRA (r 16, lora_alpha 32) at
1e-5 left 8% in bfloat16 and 51% in float16; at 1e-4, 60% and 100%.
"""

from collections.abc import Iterator, Mapping

from delta.core.paths import POLICY
from delta.inference.config import Serving, WeightlessServingParams
from delta.training.config import MIN_BFLOAT16_LEARNING_RATE, TrainParams

# Below these, little is left after any number of steps that the profiles make. Above them it
# depends on the steps: a run records what is left (`update_served`), and its page warns below 90%.
MIN_LEARNING_RATES = {
    "float32": 0.0,
    "bfloat16": MIN_BFLOAT16_LEARNING_RATE,
    "float16": MIN_BFLOAT16_LEARNING_RATE / 8,  # three bits more
}


def mistakes(train: TrainParams, serving: Mapping[str, Serving]) -> Iterator[str]:
    """Yield dtypes in which the engine rounds the update away, or not as it rounds the base.

    The dtype of a server is its own: nothing is said of a policy or base that one serves.
    """
    base, policy = serving[train.base], serving[POLICY]
    if isinstance(policy, WeightlessServingParams) or policy.server is not None:
        return
    key = f"serving.{POLICY}.dtype = {policy.dtype!r}"
    rate, bound = train.method_params.learning_rate, MIN_LEARNING_RATES[policy.dtype]
    if rate < bound:
        adapters = "" if train.lora is None else ", also of merged adapters,"
        yield (
            f"{key}: at train.{train.method}.learning_rate = {rate} nearly all of the update"
            f"{adapters} is rounded away when the policy is loaded; expected float32 (from "
            f"{bound:g} on it is accepted, and update_served in data/counts/train.json says what "
            "is left)"
        )
    if isinstance(base, WeightlessServingParams) or base.server is not None:
        return
    if base.dtype != policy.dtype:
        yield (
            f"{key}: serving.{train.base}.dtype is {base.dtype!r}, and evaluation.models compares "
            "the two; expected one dtype, so that the difference is not of rounding"
        )
