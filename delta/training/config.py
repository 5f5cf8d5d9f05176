"""The parameters of training (paper, section 3.3).

Options of TRL, Transformers and PEFT carry the names they have there and are passed on unchanged.
"""

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
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "optim",
    "lr_scheduler_type",
    "warmup_steps",
    "max_grad_norm",
    "max_length",
    "gradient_checkpointing",
    "bf16",
    "save_steps",
    "logging_steps",
    "seed",
}
FIXED_OPTIONS = {
    "weight_decay": 0.0,
    "logging_nan_inf_filter": False,  # it would log the running average in place of a NaN
    "save_strategy": "steps",
    "save_total_limit": None,  # checkpoints.py removes old ones, once the next is complete
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


class SftParams(StrictModel):
    """Options of SFTConfig."""

    learning_rate: LearningRate
    num_train_epochs: Count


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
    per_device_train_batch_size: Count  # dpo: pairs; sft: chosen traces; kto: traces of either side
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
    early_stopping: EarlyStoppingParams | None  # null: all epochs, the last weights
    save_steps: Count
    logging_steps: Count
    seed: Annotated[int, Field(ge=0)]

    @property
    def method_params(self) -> SftParams:
        """Return the section of the selected method."""
        section: SftParams = getattr(self, self.method)
        return section

    @property
    def rows_per_forward(self) -> int:
        """Return how many rows all processes together read in a forward pass."""
        return self.per_device_train_batch_size * self.num_processes

    def trl_options(self) -> dict[str, Any]:
        """Return the arguments of TRL's config class that affect the result."""
        options = self.model_dump(include=TRAINER_OPTIONS) | self.method_params.model_dump()
        options |= FIXED_OPTIONS | FIXED_METHOD_OPTIONS[self.method]
        options["per_device_eval_batch_size"] = self.per_device_train_batch_size
        options["data_seed"] = self.seed
        if self.early_stopping is not None:
            options |= {"eval_strategy": "steps", "eval_steps": self.early_stopping.eval_steps}
        if self.fsdp:
            options |= {"fsdp": True, "fsdp_config": FSDP2}
        return options

    @field_validator("per_device_train_batch_size")
    @classmethod
    def _kto_needs_two_rows(cls, size: int, info: ValidationInfo) -> int:
        if info.data.get("method") == "kto" and size < 2:
            raise ValueError("KTO compares the completions of a batch; expected at least 2")
        return size

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
