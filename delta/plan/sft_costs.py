"""Estimate what the training of the models of `sft_models` takes."""

from delta.plan.assumptions import ARITHMETIC_PROMPT, WORKED_REPLY
from delta.plan.costs import TrainingCost, training_hours, uses_gpu
from delta.plan.model_sizes import Sizes
from delta.plan.requests import AT_MOST, Workspace
from delta.plan.speeds import Gpu, training_flops


def sft_costs(workspace: Workspace, sizes: Sizes, gpu: Gpu) -> dict[str, TrainingCost]:
    """Return the cost of each model that is not up to date; its solutions count as pairs."""
    costs = {}
    for name, model in workspace.params.sft_models.items():
        if workspace.settled(f"sft@{name}"):
            continue
        train, size = model.train_params(), sizes[name]
        side = min(train.max_length, ARITHMETIC_PROMPT.value + WORKED_REPLY.value)
        solutions, hours = model.max_problems, None
        if size is not None:
            flops = training_flops(gpu if uses_gpu(workspace.params) else None, train.bf16)
            hours = training_hours(train, solutions, side, size, flops)
        tokens = solutions * side * train.epochs(solutions)
        costs[name] = TrainingCost(solutions, AT_MOST, side, tokens, hours)
    return costs
