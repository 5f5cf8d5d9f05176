"""Decide when training stops and which checkpoint becomes the policy (paper, section 3.3).

The paper trains "until the loss converges" and keeps "the best checkpoint immediately before
convergence", and defines neither. Our rule looks at the loss on held-out pairs, never at a
benchmark.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from pydantic import Field

from delta.core.params import StrictModel


class EarlyStoppingParams(StrictModel):
    """The rule that `decide` applies."""

    held_out: Annotated[float, Field(gt=0, lt=1)]  # fraction of the problems, not trained on
    eval_steps: Annotated[int, Field(ge=1)]  # optimizer steps between evaluations
    patience: Annotated[int, Field(ge=1)]  # evaluations without improvement
    min_improvement: Annotated[float, Field(ge=0, lt=1)]  # as a fraction of the loss to improve on


class Evaluation(NamedTuple):
    """The loss after some optimizer steps."""

    step: int
    loss: float  # on the held-out pairs


class Decision(NamedTuple):
    """The best evaluation so far, and whether the run has converged."""

    best: Evaluation  # its weights become the policy
    converged_at: int | None  # the step at which training stops; None: not converged yet


def decide(
    curve: Sequence[Evaluation], rule: EarlyStoppingParams, num_warmup_steps: int = 0
) -> Decision:
    """Apply the rule to the evaluations so far, at least one.

    An evaluation improves if its loss is below the last improvement's by more than the fraction
    `min_improvement` of it, so small gains count once they add up. The run converges at the
    `patience`th evaluation in a row without improvement. The best evaluation has the lowest loss so
    far, the earliest among equals. A loss of NaN is neither an improvement nor the best.

    Step 0 is the base: its loss has to be improved on, but it is never the best, because it is no
    trained model. Evaluations up to the end of the warm-up can improve but do not count against
    the run: all steps before them had a smaller learning rate, so a small gain proves nothing.
    """
    best = reference = curve[0]
    num_without_improvement = 0
    for current in curve[1:]:
        if current.loss < best.loss or best.loss != best.loss or best.step == 0:
            best = current
        threshold = reference.loss - rule.min_improvement * abs(reference.loss)
        if current.loss < threshold or reference.loss != reference.loss:
            reference, num_without_improvement = current, 0
        elif current.step > num_warmup_steps:
            num_without_improvement += 1
        if num_without_improvement == rule.patience:
            return Decision(best, current.step)
    return Decision(best, None)
