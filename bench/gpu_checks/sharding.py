"""FSDP2 with accumulated gradients, in one process: does the whole gradient stay unsharded?

Accelerate accumulates in `no_sync`, in which FSDP2 keeps the unsharded float32 gradient of every
layer it has seen: for 8B, 32 GB on every GPU.
"""

import os
import socket
from collections.abc import Iterator
from typing import Any

from bench.gpu_checks import models
from bench.gpu_checks.check import Measurement, Setting
from delta.plan.model_sizes import GIB

ACCUMULATED = 2  # batches in an optimizer step


def run(setting: Setting) -> Iterator[Measurement]:
    """Yield the share of the gradient that is unsharded between two batches of a step."""
    import torch
    from transformers.trainer_pt_utils import AcceleratorConfig

    _be_the_only_process()
    if setting.device == "cpu":
        _treat_the_cpu_as_a_gpu()
    off = AcceleratorConfig(gradient_accumulation_kwargs={"sync_each_batch": False})
    shape = setting.sized(models.LLAMA_1B, models.TINY)
    layers = setting.sized(4, 2)
    details: dict[str, Any] = {}
    for name, options in (("with_no_sync", {"accelerator_config": off}), ("as_trained", {})):
        unsharded, total = _unsharded_bytes(setting, shape, layers, options)
        details[name] = {"unsharded_bytes": unsharded, "gradient_bytes": total}
        if setting.device == "cuda":
            details[name]["peak_gib"] = torch.cuda.max_memory_allocated() / GIB
            torch.cuda.reset_peak_memory_stats()
        share = unsharded / total
        check = "fsdp2_gradient" if name == "as_trained" else "fsdp2_gradient_in_no_sync"
        yield Measurement(check, share, dict(details))


def _be_the_only_process() -> None:
    """Set the environment in which Accelerate makes a process group of one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}


def _treat_the_cpu_as_a_gpu() -> None:
    """Make Accelerate shard on a CPU, which it refuses; the sharding is PyTorch's own over gloo."""
    from accelerate import state

    original = state.PartialState.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if self.distributed_type == state.DistributedType.MULTI_CPU:
            self.distributed_type = state.DistributedType.MULTI_GPU

    state.PartialState.__init__ = init


def _unsharded_bytes(
    setting: Setting, shape: dict[str, Any], layers: int, options: dict[str, Any]
) -> tuple[int, int]:
    """Return the bytes of unsharded gradients after the first batch, and those of all gradients."""
    from accelerate.state import GradientState
    from transformers import TrainerCallback

    GradientState._reset_state()  # else the settings of the trainer before would hold
    # Two processes in the parameters, since one has nothing to shard; here there is one.
    params = models.train_params(
        setting,
        num_processes=2,
        fsdp=True,
        gradient_accumulation_steps=ACCUMULATED,
        per_device_train_batch_size=1,
        max_length=setting.sized(2_048, 64),
    )
    rows = models.pairs(ACCUMULATED, params.max_length, shape["vocab_size"])
    model = models.random_model(shape, layers, "cpu")
    trainer = models.trainer(params, model, rows, setting.folder, max_steps=1, **options)
    found: list[int] = []

    class Count(TrainerCallback):
        def on_substep_end(self, *_: Any, **__: Any) -> None:
            found.append(_unsharded(trainer.model_wrapped))

    trainer.add_callback(Count())
    trainer.train()
    return found[0], 4 * sum(parameter.numel() for parameter in model.parameters())


def _unsharded(model: Any) -> int:
    """Return the bytes of the gradients that FSDP2 holds unsharded. It has no public count."""
    from torch.distributed.fsdp import FSDPModule

    parameters: dict[int, Any] = {}  # modules that are wrapped together have one group
    for module in model.modules():
        if isinstance(module, FSDPModule):
            for group in module._get_fsdp_state()._fsdp_param_groups:
                parameters |= {id(each): each for each in group.fsdp_params}
    total = 0
    for parameter in parameters.values():
        gradient = parameter.unsharded_accumulated_grad
        if gradient is None and getattr(parameter, "_unsharded_param", None) is not None:
            gradient = parameter.unsharded_param.grad
        total += 0 if gradient is None else gradient.numel() * gradient.element_size()
    return total
