"""The margin before the first update, which would be 0 if the reference were the policy's own.

The reference log-probabilities are computed once per trace, in other batches than training's. In
bfloat16 a sequence alone and beside others differs by up to 0.3 nats at 400 to 700 tokens. What is
left of that in a run is measured on its first batch, in training's own forward pass.
"""

import statistics
from collections.abc import Sequence
from typing import Any

from delta.core.types import Counts
from delta.training.config import DpoParams, TrainParams

# Warn where the spread is larger than this fraction of the margin that training reaches. The error
# of a pair's reference stays in its margin for the whole run, so the gradient weighs the pair by
# sigmoid(-beta * (margin + error)). Up to a tenth the margins are still mostly what was learned.
MAX_FRACTION_OF_MARGIN = 0.1
KEY = "first_margin"  # in the log, so that a resumed run has it too


def log_ratios(inputs: dict[str, Any], log_probs: Any) -> Any:
    """Return policy minus reference of the rows of a batch (nats, summed over the completion).

    `log_probs` (rows x tokens) is 0 outside completions. DPO: pairs x (chosen, rejected). KTO:
    traces x (log-ratio, 1 if chosen else 0).
    """
    import torch

    logps = log_probs.detach().float().sum(dim=1)
    if "label" in inputs:
        is_chosen = torch.as_tensor(inputs["label"], device=logps.device).float()
        return torch.stack([logps - inputs["ref_logps"].to(logps.device), is_chosen], dim=1)
    chosen, rejected = logps.chunk(2)
    return torch.stack(
        [
            chosen - inputs["ref_chosen_logps"].to(logps.device),
            rejected - inputs["ref_rejected_logps"].to(logps.device),
        ],
        dim=1,
    )


def summarize(method: str, ratios: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return mean and standard deviation of chosen minus rejected (nats, before beta), and rows.

    KTO's rows are no pairs: the mean is that of the chosen minus that of the rejected, the variance
    the sum of both. What too few rows do not tell is None.
    """
    if method == "dpo":
        margins = [chosen - rejected for chosen, rejected in ratios]
        sd = statistics.variance(margins) ** 0.5 if len(margins) > 1 else None
        return {"mean": statistics.fmean(margins), "sd": sd, "rows": len(margins)}
    sides = [[ratio for ratio, label in ratios if bool(label) is side] for side in (True, False)]
    mean = statistics.fmean(sides[0]) - statistics.fmean(sides[1]) if all(sides) else None
    sd = None
    if min(map(len, sides)) > 1:
        sd = sum(map(statistics.variance, sides)) ** 0.5
    return {"mean": mean, "sd": sd, "rows": len(ratios)}


def find(log: Sequence[dict[str, Any]]) -> Counts:
    """Return {"first_margin": summary} of a log; nothing for SFT, which has no margin."""
    summary = next((entry[KEY] for entry in log if KEY in entry), None)
    return {} if summary is None else {KEY: summary}


def warning(params: TrainParams, counts: Counts) -> str:
    """Return a warning where the spread is large against the margin reached; else an empty text."""
    method = params.method_params
    sd = counts.get(KEY, {}).get("sd")
    if not isinstance(method, DpoParams) or sd is None or "last_margin" not in counts:
        return ""
    reached = counts["last_margin"] / method.beta  # nats
    if sd <= MAX_FRACTION_OF_MARGIN * abs(reached):
        return ""
    return (
        f"the first margin, before any update, has a standard deviation of {sd:.3g} nats, and the "
        f"margin that training reached is {reached:.3g}; expected at most "
        f"{MAX_FRACTION_OF_MARGIN:.0%} of it (the reference is computed in other batches; "
        "train.bf16: false makes it exact)"
    )
