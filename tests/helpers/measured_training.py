"""A training process that counts the bytes of all tensors alive in it, after every operation.

`python -m tests.helpers.measured_training FOLDER HISTORY HELD_OUT_HISTORY` is a process of
`accelerate launch`, as delta.training.launch is one. The first writes FOLDER/memory.json: weights,
gradients and moments after a step, and the most that was alive in forward and backward passes.
"""

import json
import os
import sys
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import TrainerCallback
from trl.trainer import utils

from delta.training import launch, trainer

HEAD = utils._ChunkedLogProbFunction


class LiveBytes(TorchDispatchMode):
    """Follow the storage of every tensor that an operation reads or writes."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self.peaks: dict[str, int] = {}
        self.phase = "model"

    def __torch_dispatch__(
        self, function: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        output = function(*args, **(kwargs or {}))
        self.add((args, kwargs, output))
        self.peaks[self.phase] = max(self.peaks.get(self.phase, 0), self.total())
        return output

    def add(self, values: Any) -> None:
        for value in _pytree.tree_leaves(values):
            if isinstance(value, torch.Tensor):
                storage = local(value).untyped_storage()
                self.storages[storage._cdata] = weakref.ref(storage)

    def total(self) -> int:
        """Return the bytes of all storages that are alive; FSDP2 sets those it frees to 0."""
        alive = {key: storage for key, ref in self.storages.items() if (storage := ref())}
        self.storages = {key: self.storages[key] for key in alive}
        return sum(storage.nbytes() for storage in alive.values())

    def name_the_head(self) -> None:
        """Count the fused head apart: without Triton it makes copies that no GPU holds."""

        def in_head(function: Callable[..., Any]) -> Any:
            def wrapped(*args: Any) -> Any:
                self.phase = "head"
                try:
                    return function(*args)
                finally:
                    self.phase = "model"

            return staticmethod(wrapped)

        HEAD.forward, HEAD.backward = in_head(HEAD.forward), in_head(HEAD.backward)


class KeptBytes(TrainerCallback):
    """Note the bytes of this process's weights, gradients and moments after a step."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}

    def on_optimizer_step(self, *_: Any, model: Any, optimizer: Any, **__: Any) -> None:
        weights = list(model.parameters())
        moments = [value for state in optimizer.state.values() for value in state.values()]
        self.kept = {
            "weights": num_bytes(weights),
            "gradients": num_bytes(weight.grad for weight in weights),
            "moments": num_bytes(moments),
        }


def local(tensor: Any) -> torch.Tensor:
    """Return this process's shard of a tensor that is sharded, else the tensor."""
    shard: torch.Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return shard


def num_bytes(tensors: Iterable[torch.Tensor | None]) -> int:
    return sum(local(tensor).nbytes for tensor in tensors if tensor is not None)


def main(arguments: list[str]) -> None:
    make, counter, kept = trainer._trainer, LiveBytes(), KeptBytes()
    counter.name_the_head()

    def make_measured(*args: Any) -> Any:
        made = make(*args)
        step = made.training_step

        def training_step(model: Any, *step_args: Any, **options: Any) -> Any:
            with counter:
                counter.add([list(model.parameters()), list(made.optimizer.state.values())])
                return step(model, *step_args, **options)

        made.training_step = training_step
        made.add_callback(kept)
        return made

    setattr(trainer, "_trainer", make_measured)  # noqa: B010 - not an attribute to mypy
    launch.main(arguments)
    if os.environ["RANK"] == "0":
        measured = kept.kept | {"peak": counter.peaks["model"]}
        Path(arguments[0], "memory.json").write_text(json.dumps(measured), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
