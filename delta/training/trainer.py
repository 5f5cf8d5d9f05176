"""One training run by TRL: DPO, KTO or SFT on prepared rows, checkpoints, a history to plot."""

import csv
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import torch
import trl
from accelerate import PartialState
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, SFTConfig, SFTTrainer

from delta.core.errors import InputError
from delta.core.files import atomic_file
from delta.training import checkpoints, model_io, padding_free
from delta.training.config import DpoParams, KtoParams, TrainParams
from delta.training.early_stopping import decide

COLUMNS = ("step", "loss", "rewards/margins", "rewards/accuracies", "grad_norm", "learning_rate")
HELD_OUT_COLUMNS = ("step", "eval_loss")
OnStep = Callable[[int, int], None]  # optimizer steps done, and all


class Run(NamedTuple):
    """All that a process needs to train. `folder` holds rows/, held_out/ and checkpoints/."""

    params: TrainParams
    base: Path
    folder: Path
    history: Path
    held_out_history: Path

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def rows(self, name: str) -> Any:
        folder = self.folder / name
        return datasets.load_from_disk(str(folder)) if folder.is_dir() else None


class PreparedDatasetTrainer(Trainer):
    """TRL's trainers on rows that are tokenised and have their reference log-probabilities."""

    is_fsdp_enabled: bool
    model: Any
    args: Any
    accelerator: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_fsdp_enabled = getattr(self.accelerator.state, "fsdp_plugin", None) is not None
        adapted = hasattr(self.model, "peft_config")
        self.is_unpadded = padding_free.enable_padding_free(
            self.model.get_base_model() if adapted else self.model
        )

    def _prepare_dataset(self, dataset: Any, *_args: Any, **_kwargs: Any) -> Any:
        return dataset  # TRL's own tokenisation would append an end of turn to cut traces

    def _precompute_ref_logps(self, dataset: Any, *_args: Any, **_kwargs: Any) -> Any:
        return dataset  # delta.training.reference_logps computed them, once for each trace

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        if not self.is_fsdp_enabled:
            return super().compute_loss(*args, **kwargs)
        # Accelerate would let FSDP do the casting: log-probabilities that come back in bfloat16,
        # summed over thousands of tokens (on a toy, a first margin of -0.014 where 0 is right),
        # gradients that are summed in it, other numbers than the reference has. Autocast is what
        # one process does; without its cache, which would hold the whole model unsharded.
        kind = self.accelerator.device.type
        with torch.autocast(kind, torch.bfloat16, self.args.bf16, cache_enabled=False):
            return super().compute_loss(*args, **kwargs)

    def _send_telemetry(self) -> None:
        # Nothing is sent. TRL comes by here before it would load a second base for each process
        # of an FSDP run, which nothing asks for anything: we have its log-probabilities.
        self.is_fsdp_enabled = False


class _Dpo(PreparedDatasetTrainer, DPOTrainer):
    pass


class _Kto(PreparedDatasetTrainer, KTOTrainer):
    pass


class _Sft(PreparedDatasetTrainer, SFTTrainer):
    pass


TRAINERS = {"dpo": _Dpo, "kto": _Kto, "sft": _Sft}


class TrainingCallback(TrainerCallback):
    """Writes the history at every log, marks whole checkpoints, asks the convergence rule."""

    def __init__(self, run: Run, on_step: OnStep) -> None:
        self.run = run
        self.on_step = on_step

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.on_step(state.global_step, state.max_steps)
        # Also where log_every does not divide the steps: what was averaged since the last log would
        # be lost by a resume.
        if control.should_save or control.should_evaluate:
            control.should_log = True

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.is_world_process_zero:
            write_histories(self.run, state.log_history)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        rule = self.run.params.convergence
        assert rule is not None
        control.should_save = True  # any of these may turn out to be the best
        if decide(checkpoints.held_out_curve(state.log_history), rule).converged_at is not None:
            control.should_training_stop = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        PartialState().wait_for_everyone()  # until every process has written its part
        if not state.is_world_process_zero:
            return
        checkpoints.mark_complete(
            checkpoints.path_for_step(self.run.checkpoints, state.global_step)
        )
        wanted = {state.global_step}
        curve = checkpoints.held_out_curve(state.log_history)
        if self.run.params.convergence is not None and curve:
            wanted.add(decide(curve, self.run.params.convergence).best.step)
        checkpoints.keep(self.run.checkpoints, wanted)


def write_histories(run: Run, log: checkpoints.Log) -> None:
    """The log holds everything, also what was before a resume: both files are written whole."""
    _write(run.history, COLUMNS, [entry for entry in log if "loss" in entry])
    _write(run.held_out_history, HELD_OUT_COLUMNS, [one for one in log if "eval_loss" in one])


def _write(path: Path, columns: tuple[str, ...], entries: checkpoints.Log) -> None:
    with atomic_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(name.replace("/", "_").replace("eval_", "") for name in columns)
        for entry in entries:
            writer.writerow(
                entry["step"]
                if name == "step"
                else f"{float(entry[name]):.6g}"
                if name in entry
                else ""
                for name in columns
            )


def arguments(params: TrainParams, folder: Path) -> Any:
    """TRL's configuration. What shapes the result is from `params` or stands here by name."""
    on_cpu = not torch.cuda.is_available()
    # "constant" would leave the warm-up out without a word.
    schedules = {"constant": "constant_with_warmup"}
    shared = {
        "output_dir": str(folder),
        "learning_rate": params.own.learning_rate,
        "num_train_epochs": params.own.epochs,
        "per_device_train_batch_size": params.batch_size,
        "per_device_eval_batch_size": params.batch_size,
        "gradient_accumulation_steps": params.accumulation,
        "warmup_steps": params.warmup_share,
        "max_grad_norm": params.max_grad_norm,
        "lr_scheduler_type": schedules.get(params.schedule, params.schedule),
        "optim": params.optimizer,
        "weight_decay": 0.0,
        "logging_nan_inf_filter": False,  # it would show the running average in place of a NaN
        "max_length": params.max_length,
        "gradient_checkpointing": params.gradient_checkpointing,
        "seed": params.seed,
        "data_seed": params.seed,
        "bf16": params.compute == "bfloat16",  # autocast: master weights keep their type
        "logging_steps": params.log_every,
        "eval_strategy": "no" if params.convergence is None else "steps",
        "eval_steps": params.convergence and params.convergence.every,
        "save_strategy": "steps",
        "save_steps": params.save_every,
        "save_total_limit": None,  # checkpoints.py removes them, after the next one is marked
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": on_cpu,
    }
    if params.launch.sharding == "fsdp2":
        shared |= {"fsdp": True, "fsdp_config": FSDP2}
    made = _config(params, shared)
    if params.launch.sharding == "fsdp2":
        from torch.distributed.fsdp import MixedPrecisionPolicy

        made.fsdp_plugin_args["mixed_precision_policy"] = MixedPrecisionPolicy()  # all in fp32
    return made


FSDP2 = {
    "version": 2,
    "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
    "reshard_after_forward": True,  # full shard: weights, gradients and optimizer
    "cpu_ram_efficient_loading": True,  # one process reads the base, the others get their shards
    "state_dict_type": "SHARDED_STATE_DICT",  # each process writes its part of a checkpoint
}


def _config(params: TrainParams, shared: dict[str, Any]) -> Any:
    own = params.own
    if isinstance(own, DpoParams):
        return DPOConfig(
            **shared,
            loss_type=["sigmoid"],
            beta=own.beta,
            label_smoothing=0.0,
            precompute_ref_log_probs=True,
        )
    if isinstance(own, KtoParams):
        return KTOConfig(
            **shared,
            loss_type="kto",
            beta=own.beta,
            desirable_weight=own.desirable_weight,
            undesirable_weight=own.undesirable_weight,
            precompute_ref_log_probs=True,
            train_sampling_strategy="sequential",  # a row's neighbours are part of it
        )
    return SFTConfig(**shared, loss_type="nll", packing=False)


def train(run: Run, on_step: OnStep) -> dict[str, Any]:
    """Train, going on from the last whole checkpoint; the log and the options in force.

    Every process of a run calls this; the files are written by the first.
    """
    options = arguments(run.params, run.checkpoints)  # first: it says how a base is loaded
    trainer = _trainer(run, options, on_step)
    resumed = checkpoints.latest(run.checkpoints)
    if resumed is not None and checkpoints.is_finished(resumed, run.params.convergence):
        state = checkpoints.state_of(resumed)
    else:
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
        state = trainer.state
    if trainer.is_world_process_zero():
        write_histories(run, state.log_history)
    return {"log": state.log_history, "steps": state.global_step, "options": _options(trainer)}


def _trainer(run: Run, options: Any, on_step: OnStep) -> Any:
    params = run.params
    if params.optimizer == "adamw_8bit" and importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            "train.optimizer = 'adamw_8bit': bitsandbytes is not installed; allowed: adamw_torch, "
            "or install it"
        )
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    set_seed(params.seed)
    try:
        return TRAINERS[params.method](
            model=model_io.load(run.base, params.weights),
            args=options,
            train_dataset=run.rows("rows"),
            eval_dataset=run.rows("held_out"),
            processing_class=model_io.tokenizer(run.base),
            callbacks=[TrainingCallback(run, on_step)],
            peft_config=_adapters(params),
        )
    except ValueError as error:
        if params.lora is None or "target" not in str(error).lower():
            raise
        raise InputError(f"train.lora.target = {params.lora.target}: {error}") from error


def _adapters(params: TrainParams) -> Any:
    if params.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=params.lora.rank,
        lora_alpha=params.lora.alpha,
        lora_dropout=0.0,
        target_modules=params.lora.target,
    )


def _options(trainer: Any) -> dict[str, Any]:
    """Read back from the trainer, not from our params: libraries have dropped options unsaid."""
    args = trainer.args
    found = {
        "trainer": f"trl {trl.__version__} {type(trainer).__mro__[2].__name__}",
        "loss_type": "+".join(getattr(trainer, "loss_types", [args.loss_type])),
        "optimizer": str(args.optim.value),
        "schedule": str(args.lr_scheduler_type.value),
        "learning_rate": args.learning_rate,
        "weight_decay": args.weight_decay,
        "max_grad_norm": args.max_grad_norm,
        "weights": str(next(trainer.model.parameters()).dtype),
        "compute": "torch.bfloat16"
        if trainer.accelerator.mixed_precision == "bf16"
        else "as weights",
        "trainable": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        "torch": torch.__version__,
        "processes": trainer.accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "sharding": "fsdp2" if trainer.is_fsdp_enabled else "none",
        "batch_size": args.per_device_train_batch_size,
        "accumulation": args.gradient_accumulation_steps,
        "gradient_checkpointing": args.gradient_checkpointing,
        "padding_free": trainer.is_unpadded,
    }
    for name in ("beta", "label_smoothing", "desirable_weight", "undesirable_weight"):
        if hasattr(trainer, name):
            found[name] = getattr(trainer, name)
    if hasattr(trainer.data_collator, "max_length"):
        found["max_length"] = trainer.data_collator.max_length
    adapters = getattr(trainer.model, "peft_config", {}).get("default")
    if adapters is not None:
        found["lora"] = {"rank": adapters.r, "alpha": adapters.lora_alpha}
    return found
