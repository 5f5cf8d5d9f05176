"""When training has converged and which checkpoint is kept (paper, section 3.3): our rule.

The paper trains "until the loss converges" and keeps "the best checkpoint immediately before
convergence", and defines neither. Here the loss on held-out pairs decides, never a benchmark.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from pydantic import Field

from delta.core.params import StrictModel


class ConvergenceParams(StrictModel):
    held_out: Annotated[float, Field(gt=0, lt=1)]  # share of the problems that are not trained on
    every: Annotated[int, Field(ge=1)]  # optimizer steps between evaluations
    patience: Annotated[int, Field(ge=1)]  # evaluations without improvement
    min_improvement: Annotated[float, Field(ge=0, lt=1)]  # share of the best loss


class Evaluation(NamedTuple):
    step: int
    loss: float  # on the held-out pairs


class Decision(NamedTuple):
    best: Evaluation  # whose weights are kept
    converged_at: int | None  # the step at which training stops; None: not converged yet


def decide(curve: Sequence[Evaluation], rule: ConvergenceParams) -> Decision:
    """What the rule says of the evaluations so far, of which there is at least one.

    An evaluation improves where it is below the last one that improved by more than
    `min_improvement` of it: many small gains count once they add up. Converged is the
    evaluation that is the `patience`th in a row without improvement. The lowest loss up to there
    is best, the earliest of equal ones; a loss that is not a number neither improves nor wins.
    """
    best = mark = curve[0]
    waited = 0
    for here in curve[1:]:
        if here.loss < best.loss or best.loss != best.loss:
            best = here
        if here.loss < mark.loss - rule.min_improvement * abs(mark.loss) or mark.loss != mark.loss:
            mark, waited = here, 0
        else:
            waited += 1
        if waited == rule.patience:
            return Decision(best, here.step)
    return Decision(best, None)
