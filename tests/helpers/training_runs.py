"""Run the training of a tiny model on six pairs, and compute its losses without a trainer."""

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from delta.core.console import Console
from delta.training.config import TrainParams
from delta.training.dataset import to_trl_columns
from tests.helpers.tiny_models import train_params

BETA = 0.5
LORA = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}
RULE: dict[str, Any] = {"held_out": 0.34, "eval_steps": 2, "patience": 2, "min_improvement": 0.0}

# Accelerate shards only on accelerators. Python reads this file when it starts. It makes Accelerate
# treat two processes on CPUs as GPUs; the sharding is PyTorch's own FSDP2 over gloo.
FAKE_GPUS = """
import os
if "RANK" in os.environ:
    from accelerate import state
    original = state.PartialState.__init__
    def init(self, *args, **kwargs):
        original(self, *args, **kwargs)
        if self.distributed_type == state.DistributedType.MULTI_CPU:
            self.distributed_type = state.DistributedType.MULTI_GPU
    state.PartialState.__init__ = init
"""


def two_epochs(**changes: Any) -> TrainParams:
    return train_params(**{"dpo": {"num_train_epochs": 2}} | changes)


def stopping_early(**changes: Any) -> TrainParams:
    """Return `two_epochs` with the rule RULE and the constant rate that it needs."""
    rule = {"early_stopping": RULE, "lr_scheduler_type": "constant_with_warmup"}
    return two_epochs(**rule | changes)


def six_pairs() -> list[dict[str, Any]]:
    """Return six tokenized pairs of different lengths and different problems."""
    return [
        {
            "pair_id": f"p{i}",
            "problem_id": f"q{i}",
            "prompt_ids": [1, 10 + i, 20],
            "chosen_ids": [30 + i, 40, 41, 2][: 2 + i % 3],
            "rejected_ids": [50 + i, 60, 2],
        }
        for i in range(6)
    ]


def with_reference(params: TrainParams, pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the method's rows with invented reference log-probabilities."""
    rows = to_trl_columns(params, pairs)
    columns = {"ref_chosen_logps": -10.0, "ref_rejected_logps": -12.0}
    if params.method == "kto":
        columns = {"ref_logps": -11.0, "ref_KL_logps": -18.0}
    if params.method == "sft":
        columns = {}
    for number, row in enumerate(rows):
        row |= {name: value - 0.3 * number for name, value in columns.items()}
    return rows


def plain_log_probs(model: Any, prompt: list[int], completion: list[int]) -> list[float]:
    """Return log p(token | all before) of each completion token, from one unpadded sequence."""
    import torch

    ids = torch.tensor([prompt + completion])
    with torch.no_grad():
        log_probs = torch.log_softmax(model(input_ids=ids).logits[0].float(), dim=-1)
    positions = range(len(prompt) - 1, len(prompt) + len(completion) - 1)
    return [log_probs[i, t].item() for i, t in zip(positions, completion, strict=True)]


def plain_log_prob(model: Any, prompt: list[int], completion: list[int]) -> float:
    return sum(plain_log_probs(model, prompt, completion))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def dpo_loss(model: Any, rows: Any, beta: float) -> float:
    losses = []
    for row in rows:
        chosen = plain_log_prob(model, row["prompt_ids"], row["chosen_ids"])
        rejected = plain_log_prob(model, row["prompt_ids"], row["rejected_ids"])
        margin = (chosen - row["ref_chosen_logps"]) - (rejected - row["ref_rejected_logps"])
        losses.append(-math.log(sigmoid(beta * margin)))
    return sum(losses) / len(losses)


def read_history(path: Path) -> list[dict[str, str]]:
    """Return the rows of a run's history or held-out history."""
    lines = [line.split("\t") for line in path.read_text().split("\n") if line]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def read_numbers(path: Path) -> list[list[float]]:
    return [[float(value or 0) for value in row.values()] for row in read_history(path)]


def train_model(
    params: TrainParams,
    rows: Any,
    base: Path,
    folder: Path,
    held_out: Any = (),
    console: Console | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Prepare and train; return the policy and the counts."""
    from delta.training import launch, model_io

    launch.prepare_run(folder / "run", params, base, rows, list(held_out))
    files = (folder / "history.tsv", folder / "held_out.tsv")
    checkpoint, counts = launch.train(folder / "run", *files, console or Console(io.StringIO()))
    return model_io.load_checkpoint(params, base, checkpoint), counts


class InterruptingConsole(Console):
    """A console that raises KeyboardInterrupt after so many training steps."""

    def __init__(self, steps: int) -> None:
        super().__init__(io.StringIO())
        self.steps = steps

    def progress(self, items: Any, total: int, what: str) -> Iterator[Any]:  # noqa: ARG002
        for done, item in enumerate(items):
            if done == self.steps:
                raise KeyboardInterrupt
            yield item


def have_equal_weights(first: Any, second: Any) -> bool:
    import torch

    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def steps_in(folder: Path) -> list[int]:
    """Return the steps of the checkpoints in a folder."""
    return sorted(int(path.name.partition("-")[2]) for path in folder.glob("checkpoint-*"))
