"""Compute the memory that training takes on each GPU, from the shape of the model.

The bytes a token count live tensors of a Llama under TRL: fused head, batches without padding,
autocast. tests/plan/test_training_memory.py measures them. Left out: CUDA itself and what its
allocator loses to fragments (assumptions.CUDA_GIB).
"""

from typing import NamedTuple

from delta.plan.model_sizes import BYTES, Shape, Size
from delta.training.config import LoraParams, TrainParams

MLP = {"gate_proj", "up_proj", "down_proj"}
# Unsharded layers that are there at once in FSDP2's backward pass: the one at work, the next one
# gathered, the gradient of the one before on its way to its owners, and of the layer at work a
# bfloat16 copy of its widest matrices with a gradient.
LAYERS_AT_ONCE = 3.5
CAST_LAYER = 0.5  # the last of these is there without FSDP too


class TrainingMemory(NamedTuple):
    """Bytes on each GPU at the end of a backward pass, when most is there."""

    weights: float
    gradients: float
    moments: float  # of Adam
    gathered: float  # of FSDP: unsharded layers, embedding and head; else copies in bfloat16
    checkpoints: float  # inputs of all layers, or all that they save
    layer: float  # inside the layer that is computed again

    @property
    def kept(self) -> float:
        """Return what is there in every step, whatever the batch."""
        return self.weights + self.gradients + self.moments

    @property
    def total(self) -> float:
        """Return the sum of all parts."""
        return float(sum(self))


def batch_tokens(train: TrainParams) -> int:
    """Return the tokens of a forward pass of one process where every side has `max_length`."""
    sides = 1 if train.method == "sft" else 2
    return train.per_device_train_batch_size * sides * train.max_length


def training_memory(
    train: TrainParams, parameters: float, shape: Shape, tokens: int
) -> TrainingMemory:
    """Return the memory of a process whose forward pass reads `tokens` tokens."""
    width = BYTES[train.dtype]
    shards = train.num_processes if train.fsdp else 1
    weights, trained, trained_width = parameters * width / shards, parameters / shards, width
    if train.lora is not None:
        trained, trained_width = adapter_parameters(train.lora, shape), BYTES["float32"]
        weights += trained * trained_width
    moments = trained * _moments_width(train, trained_width)
    layer = shape.layer_parameters * width
    if train.fsdp:
        gathered = LAYERS_AT_ONCE * layer + shape.embedding_parameters * width
        gathered += shape.vocabulary * shape.hidden * width  # the gradient of the head
        # Gradients of two layers and of embedding and head are not yet among the shards.
        gathered -= (2 * layer + shape.embedding_parameters * width) / shards
    else:
        gathered = CAST_LAYER * layer
    saved, computed = layer_bytes(train, shape)
    checkpoints = shape.hidden * width if train.gradient_checkpointing else saved
    return TrainingMemory(
        weights,
        trained * trained_width,
        moments,
        gathered,
        checkpoints * shape.layers * tokens,
        computed * tokens,
    )


def memory_of(train: TrainParams, size: Size) -> TrainingMemory | None:
    """Return the memory on each GPU with the longest batch; None where the shape is not known."""
    if size.shape is None:
        return None
    return training_memory(train, size.parameters, size.shape, batch_tokens(train))


def least_bytes(train: TrainParams, size: Size) -> float:
    """Return what is known of the memory on each GPU: all, or what is there whatever the batch."""
    memory = memory_of(train, size)
    return kept_bytes(train, size.parameters) if memory is None else memory.total


def kept_bytes(train: TrainParams, parameters: float) -> float:
    """Return weights, gradients and moments without adapters, where the shape is not known."""
    width = BYTES[train.dtype]
    each = width if train.lora is not None else 2 * width + _moments_width(train, width)
    return parameters * each / (train.num_processes if train.fsdp else 1)


def _moments_width(train: TrainParams, width: int) -> int:
    return 2 if train.optim == "adamw_8bit" else 2 * width


def layer_bytes(train: TrainParams, shape: Shape) -> tuple[float, float]:
    """Return bytes a token: what a layer saves, and the most that is alive in its backward pass.

    Under autocast the residual stream has the weights' type, products are bfloat16. Without it
    products are float32, and take at most twice the bytes. The second number counts what is saved
    and not yet used, and the gradients in flight, in the MLP.
    """
    hidden, wide, kv, heads = shape.hidden, shape.intermediate, shape.kv, shape.heads
    if not train.bf16:
        hidden, wide, kv = 2 * hidden, 2 * wide, 2 * kv
    saved = 32 * hidden + 8 * wide + 4 * kv + 4 * heads
    if not train.gradient_checkpointing:
        return saved, 6 * hidden
    adapters = train.lora is not None and bool(MLP & set(train.lora.target_modules))
    computed = 34 * hidden + 14 * wide if adapters else 20 * hidden + 12 * wide
    return saved, computed + 4 * kv + 4 * heads


def adapter_parameters(lora: LoraParams, shape: Shape) -> int:
    """Return the parameters of all adapters; layers with names unlike Llama's count as none."""
    known = shape.linear_layers
    widths = [known[name] for name in lora.target_modules if name in known]
    return shape.layers * sum(lora.r * (inputs + outputs) for inputs, outputs in widths)
