"""The parameters of training (paper, section 3.3), and which of them cannot go together."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from delta.core.params import StrictModel
from delta.training.early_stopping import ConvergenceParams

# An AdamW step moves a weight by about the learning rate. bfloat16 keeps 8 bits: a weight of 0.02
# moves in steps of 1.2e-4, and what is below half of that is rounded away. Of a tiny model's
# weights 100 steps moved 0.06 % at 5e-8, 2 % at 1e-6, 15 % at 1e-5, 84 % at 1e-4; in fp32 99 %.
LOWEST_BFLOAT16_RATE = 1e-5

Rate = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class DpoParams(StrictModel):
    """No label smoothing: TRL 1.16 takes it for this loss and ignores it."""

    learning_rate: Rate
    beta: Positive
    epochs: Count


class KtoParams(StrictModel):
    learning_rate: Rate
    beta: Positive
    desirable_weight: Positive  # of the chosen side's loss
    undesirable_weight: Positive
    epochs: Count


class SftParams(StrictModel):
    learning_rate: Rate
    epochs: Count


class LoraParams(StrictModel):
    """Adapters; merged into the policy. No dropout: TRL switches it off for DPO and KTO."""

    rank: Count
    alpha: Count
    target: Annotated[list[str], Field(min_length=1)]  # names of the linear layers


class LaunchParams(StrictModel):
    processes: Count  # one a GPU, on one machine
    sharding: Literal["none", "fsdp2"]  # none: each holds the whole model


class TrainParams(StrictModel):
    base: str  # a name in `models`
    method: Literal["dpo", "kto", "sft"]
    dpo: DpoParams  # each read only where it is the method
    kto: KtoParams
    sft: SftParams
    form: Literal["policy", "raw"]  # traces with the policy's own markers, or as generated
    max_length: Annotated[int, Field(ge=2)]  # tokens, prompt and completion
    too_long: Literal["cut", "drop"]  # what happens to a pair with a side over max_length
    max_dropped: Annotated[float, Field(ge=0, le=1)]  # share of dropped pairs that is an error
    batch_size: Count  # pairs (sft: chosen, kto: either side) a forward pass of one process
    accumulation: Count  # forward passes an optimizer step
    optimizer: Literal["adamw_torch", "adamw_8bit"]
    schedule: Literal["linear", "cosine", "constant"]  # of the learning rate, after the warm-up
    warmup_share: Annotated[float, Field(ge=0, lt=1)]
    max_grad_norm: Positive
    lora: LoraParams | None
    compute: Literal["float32", "bfloat16"]  # forward and backward pass
    weights: Literal["float32", "bfloat16"]  # the master weights
    gradient_checkpointing: bool  # less memory for a second forward pass
    launch: LaunchParams
    convergence: ConvergenceParams | None  # null: all epochs, the last weights
    save_every: Count  # optimizer steps between checkpoints
    log_every: Count
    seed: Annotated[int, Field(ge=0)]

    @property
    def own(self) -> DpoParams | KtoParams | SftParams:
        """The section of the method that is used."""
        own: DpoParams | KtoParams | SftParams = getattr(self, self.method)
        return own

    @field_validator("batch_size")
    @classmethod
    def _neighbours(cls, size: int, others: ValidationInfo) -> int:
        if others.data.get("method") == "kto" and size < 2:
            raise ValueError(
                "KTO compares a completion with others of its batch; allowed: 2 and more"
            )
        return size

    @field_validator("weights")
    @classmethod
    def _weights_that_move(cls, weights: str, others: ValidationInfo) -> str:
        known = others.data
        method = known.get("method", "")
        if weights == "float32" or method not in known or known.get("lora") is not None:
            return weights  # adapters are fp32 on top of weights that need not move
        if known.get("compute") == "float32":
            raise ValueError("weights of bfloat16 compute in bfloat16; set train.compute to it")
        rate = known[method].learning_rate
        if rate < LOWEST_BFLOAT16_RATE:
            raise ValueError(
                f"at train.{method}.learning_rate = {rate} nearly every step is rounded away (at "
                "5e-8, 100 steps moved 0.06 % of the weights; in float32 99 %); allowed: float32, "
                f"or a learning rate of {LOWEST_BFLOAT16_RATE} and more"
            )
        return weights

    @field_validator("launch")
    @classmethod
    def _what_is_sharded(cls, launch: LaunchParams, others: ValidationInfo) -> LaunchParams:
        if launch.sharding == "none":
            return launch
        if launch.processes == 1:
            raise ValueError("one process has nothing to shard; allowed: none, or more processes")
        wanted = {"lora": None, "weights": "float32", "optimizer": "adamw_torch"}
        for key, value in wanted.items():
            if others.data.get(key, value) != value:
                raise ValueError(
                    f"fsdp2 shards whole fp32 models under PyTorch's AdamW; train.{key} is "
                    f"{others.data[key]!r}, allowed: {value!r}"
                )
        return launch
