"""The parameters of training (paper, section 3.3).

Options of TRL, Transformers and PEFT carry the names they have there and are passed on unchanged.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from delta.core.params import StrictModel
from delta.training.early_stopping import EarlyStoppingParams

# An AdamW step moves a weight by about the learning rate. bfloat16 keeps 8 bits: a weight of 0.02
# moves in steps of 1.2e-4, and less than half of that is rounded away. In a tiny model, 100 steps
# changed 0.06% of the weights at 5e-8, 2% at 1e-6, 15% at 1e-5 and 84% at 1e-4; in fp32 99%.
MIN_BFLOAT16_LEARNING_RATE = 1e-5

LearningRate = Annotated[float, Field(gt=0, lt=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]

TRAINER_OPTIONS = {  # fields of TrainParams that every TRL config has
    "gradient_accumulation_steps",
    "optim",
    "lr_scheduler_type",
    "warmup_steps",
    "max_grad_norm",
    "max_length",
    "gradient_checkpointing",
    "bf16",
    "logging_steps",
    "seed",
}
FIXED_OPTIONS = {
    "weight_decay": 0.0,
    "logging_nan_inf_filter": False,  # it would log the running average in place of a NaN
    "save_strategy": "no",  # callback.py asks for checkpoints, checkpoints.py removes old ones
    "report_to": "none",
    "disable_tqdm": True,
}
FIXED_METHOD_OPTIONS: dict[str, dict[str, Any]] = {
    "dpo": {"loss_type": ["sigmoid"], "label_smoothing": 0.0, "precompute_ref_log_probs": True},
    "kto": {
        "loss_type": "kto",
        "precompute_ref_log_probs": True,
        "train_sampling_strategy": "sequential",  # a row contains its neighbour's completion
    },
    "sft": {"loss_type": "nll", "packing": False},
}
FSDP2 = {
    "version": 2,
    "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
    "reshard_after_forward": True,  # full shard: weights, gradients and optimizer
    "cpu_ram_efficient_loading": True,  # one process reads the base and sends the shards
    "state_dict_type": "SHARDED_STATE_DICT",  # each process writes its part of a checkpoint
}
# Without it, each process keeps the gradient of the whole model while a step accumulates batches:
# 32 GB for 8B parameters, of which its shard is 4 GB on 8 GPUs.
SYNC_EACH_BATCH = {"gradient_accumulation_kwargs": {"sync_each_batch": True}}


class SftParams(StrictModel):
    """Options of SFTConfig."""

    learning_rate: LearningRate
    num_train_epochs: Count | None  # either this or max_steps
    max_steps: Count | None  # optimizer steps; the rows are read again where they run out

    @field_validator("max_steps")
    @classmethod
    def _one_length(cls, steps: int | None, info: ValidationInfo) -> int | None:
        epochs = info.data.get("num_train_epochs")
        if "num_train_epochs" in info.data and (steps is None) == (epochs is None):
            raise ValueError(
                f"num_train_epochs is {epochs}; expected a number for one of the two and null for "
                "the other"
            )
        return steps


class DpoParams(SftParams):
    """Options of DPOConfig.

    No label smoothing: TRL 1.16 accepts it for this loss and ignores it.
    """

    beta: PositiveFloat


class KtoParams(DpoParams):
    """Options of KTOConfig."""

    desirable_weight: PositiveFloat  # weight of the chosen side's loss
    undesirable_weight: PositiveFloat


class LoraParams(StrictModel):
    """PEFT's LoraConfig. The adapters are merged into the policy.

    No dropout: TRL switches it off for DPO and KTO.
    """

    r: Count
    lora_alpha: Count
    target_modules: Annotated[list[str], Field(min_length=1)]  # names of linear layers


class TrainParams(StrictModel):
    """The section `train` of params.yaml."""

    base: str  # a name in `models`
    method: Literal["dpo", "kto", "sft"]
    dpo: DpoParams  # only the section of `method` is read
    kto: KtoParams
    sft: SftParams
    reasoning_markers: Literal["policy", "raw"]  # the policy's own, or those the generator wrote
    max_length: Annotated[int, Field(ge=2)]  # tokens of prompt and completion
    truncation: bool  # cut a side longer than max_length at its end; false: drop the pair
    max_dropped: Annotated[float, Field(ge=0, le=1)]  # fraction of pairs; above it the stage fails
    per_device_train_batch_size: Count  # pairs, whatever the method; KTO reads two rows of each
    gradient_accumulation_steps: Count
    optim: Literal["adamw_torch", "adamw_8bit"]
    # Not "constant", which ignores warmup_steps.
    lr_scheduler_type: Literal["linear", "cosine", "constant_with_warmup"]
    warmup_steps: Annotated[float, Field(ge=0)]  # below 1: a fraction of all steps
    max_grad_norm: PositiveFloat
    lora: LoraParams | None  # null: all weights are trained
    bf16: bool  # autocast: forward and backward pass in bfloat16
    dtype: Literal["float32", "bfloat16"]  # of the weights that the optimizer updates
    gradient_checkpointing: bool
    num_processes: Count  # of `accelerate launch`: one per GPU of this machine
    fsdp: bool  # shard the model over the processes (FSDP2); false: each process holds all of it
    early_stopping: EarlyStoppingParams | None  # null: all steps, the last weights
    # Minutes between checkpoints, which wait for the next log; 0: after every logged step.
    save_minutes: Annotated[float, Field(ge=0)]
    logging_steps: Count
    seed: Annotated[int, Field(ge=0)]

    @property
    def method_params(self) -> SftParams:
        """Return the section of the selected method."""
        section: SftParams = getattr(self, self.method)
        return section

    @property
    def stops_early(self) -> bool:
        """Return whether the held-out loss decides the end and the weights.

        SFT runs to its end: the paper trains it for one epoch (4.1). Its loss is only measured.
        """
        return self.early_stopping is not None and self.method != "sft"

    @property
    def rows_per_pair(self) -> int:
        """Return how many rows of the trainer a pair becomes: KTO reads its sides apart."""
        return 2 if self.method == "kto" else 1

    @property
    def rows_per_device(self) -> int:
        """Return how many rows a process reads in a forward pass."""
        return self.per_device_train_batch_size * self.rows_per_pair

    @property
    def rows_per_forward(self) -> int:
        """Return how many rows all processes together read in a forward pass."""
        return self.rows_per_device * self.num_processes

    def epochs(self, pairs: int) -> float:
        """Return how often a run without early stopping reads each of `pairs` pairs."""
        length = self.method_params
        if length.num_train_epochs is not None:
            return length.num_train_epochs
        assert length.max_steps is not None
        batch = self.per_device_train_batch_size * self.num_processes
        steps = math.ceil(math.ceil(pairs / batch) / self.gradient_accumulation_steps)
        return length.max_steps / max(1, steps)

    def num_warmup_steps(self, max_steps: int) -> int:
        """Return the steps of the warm-up in a run of `max_steps` steps, as Transformers does."""
        share = self.warmup_steps
        return int(share) if share >= 1 else math.ceil(max_steps * share)

    def trl_options(self) -> dict[str, Any]:
        """Return the arguments of TRL's config class that affect the result."""
        options = self.model_dump(include=TRAINER_OPTIONS)
        options |= self.method_params.model_dump(exclude_none=True)
        options |= FIXED_OPTIONS | FIXED_METHOD_OPTIONS[self.method]
        for split in ("train", "eval"):
            options[f"per_device_{split}_batch_size"] = self.rows_per_device
        options["data_seed"] = self.seed
        if self.early_stopping is not None:
            options |= {"eval_strategy": "steps", "eval_steps": self.early_stopping.eval_steps}
        if self.fsdp:
            options |= {"fsdp": True, "fsdp_config": FSDP2, "accelerator_config": SYNC_EACH_BATCH}
        return options

    @field_validator("early_stopping")
    @classmethod
    def _rate_stays_constant(
        cls, rule: EarlyStoppingParams | None, info: ValidationInfo
    ) -> EarlyStoppingParams | None:
        schedule = info.data.get("lr_scheduler_type", "constant_with_warmup")
        is_stopped = rule is not None and info.data.get("method") in ("dpo", "kto")
        if is_stopped and schedule != "constant_with_warmup":
            raise ValueError(
                f"train.lr_scheduler_type = {schedule!r}: as the learning rate falls to 0 the loss "
                "stops falling too and looks converged; expected 'constant_with_warmup', or null "
                "here"
            )
        return rule

    @field_validator("dtype")
    @classmethod
    def _updates_survive_rounding(cls, dtype: str, info: ValidationInfo) -> str:
        values = info.data
        method = values.get("method", "")
        if dtype == "float32" or method not in values or values.get("lora") is not None:
            return dtype  # adapters are in fp32, and the weights below them do not change
        if not values.get("bf16"):
            raise ValueError("bfloat16 weights compute in bfloat16; set train.bf16: true")
        rate = values[method].learning_rate
        if rate < MIN_BFLOAT16_LEARNING_RATE:
            raise ValueError(
                f"at train.{method}.learning_rate = {rate} nearly every update is rounded away (at "
                "5e-8, 100 steps changed 0.06% of the weights; in float32 99%); expected float32, "
                f"or a learning rate of at least {MIN_BFLOAT16_LEARNING_RATE}"
            )
        return dtype

    @field_validator("fsdp")
    @classmethod
    def _fsdp_shards_whole_fp32_models(cls, fsdp: bool, info: ValidationInfo) -> bool:
        if not fsdp:
            return fsdp
        if info.data.get("num_processes") == 1:
            raise ValueError("one process has nothing to shard; expected num_processes above 1")
        for name, value in {"lora": None, "dtype": "float32", "optim": "adamw_torch"}.items():
            if info.data.get(name, value) != value:
                raise ValueError(
                    "FSDP2 shards whole fp32 models under PyTorch's AdamW; "
                    f"train.{name} = {info.data[name]!r}; expected {value!r}"
                )
        return fsdp
