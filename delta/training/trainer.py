"""Train by TRL on prepared rows, with checkpoints and a history (paper, section 3.3)."""

import csv
import importlib.util
import os
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import torch
import trl
from peft import LoraConfig
from transformers import set_seed

from delta.core.errors import InputError
from delta.core.files import atomic_file
from delta.training import checkpoints, model_io
from delta.training.callback import OnStep, TrainingCallback
from delta.training.config import TrainParams
from delta.training.trl_adapter import TRAINERS, trl_config

COLUMNS = (  # of SFT only some
    "step",
    "loss",
    "rewards/margins",
    "rewards/accuracies",
    "rewards/chosen",
    "rewards/rejected",
    "logps/chosen",
    "logps/rejected",
    "grad_norm",
    "learning_rate",
)
HELD_OUT_COLUMNS = ("step", "eval_loss")
CONFIG_OPTIONS = (  # of TRL's config after the trainer has read it
    "learning_rate",
    "weight_decay",
    "max_grad_norm",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "gradient_checkpointing",
)
LOSS_OPTIONS = ("beta", "label_smoothing", "desirable_weight", "undesirable_weight")


class TrainingRun(NamedTuple):
    """The inputs of a training process. `folder` contains rows/, held_out/ and checkpoints/."""

    params: TrainParams
    base: Path
    folder: Path
    history: Path
    held_out_history: Path

    @property
    def checkpoints(self) -> Path:
        """Return the folder of all checkpoints."""
        return self.folder / "checkpoints"

    def rows(self, name: str) -> Any:
        """Return the Dataset "rows" or "held_out", or None where the run has none."""
        folder = self.folder / name
        return datasets.load_from_disk(str(folder)) if folder.is_dir() else None


def write_histories(run: TrainingRun, log: checkpoints.Log) -> None:
    """Rewrite both files; the log includes the steps before a resume."""
    _write(run.history, COLUMNS, [entry for entry in log if "loss" in entry])
    _write(run.held_out_history, HELD_OUT_COLUMNS, [entry for entry in log if "eval_loss" in entry])


def _write(path: Path, columns: tuple[str, ...], entries: checkpoints.Log) -> None:
    with atomic_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(name.replace("/", "_").replace("eval_", "") for name in columns)
        for entry in entries:
            numbers = (f"{float(entry[name]):.6g}" if name in entry else "" for name in columns[1:])
            writer.writerow([entry["step"], *numbers])


def train(run: TrainingRun, on_step: OnStep) -> dict[str, Any]:
    """Train from the latest complete checkpoint; return the log, the steps and the options in use.

    Every process of a run calls this; the first writes the files.
    """
    # Before the trainer, because with FSDP the config decides how the base is loaded.
    config = trl_config(run.params, run.checkpoints)
    callback = TrainingCallback(run.params, run.checkpoints, on_step, partial(write_histories, run))
    trainer = _trainer(run, config, callback)
    checkpoint = checkpoints.latest_complete(run.checkpoints)
    if checkpoint is not None and checkpoints.is_finished(checkpoint, run.params):
        state = checkpoints.load_trainer_state(checkpoint)
    else:
        config.eval_on_start = run.params.early_stopping is not None and checkpoint is None
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        finally:
            callback.marker.wait()
        state = trainer.state
    if trainer.is_world_process_zero():
        write_histories(run, state.log_history)
    return {
        "log": state.log_history,
        "steps": state.global_step,
        "max_steps": state.max_steps,
        "options": _options_in_use(run.params, trainer),
    }


def _trainer(run: TrainingRun, config: Any, callback: TrainingCallback) -> Any:
    params = run.params
    if params.optim == "adamw_8bit" and importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            "train.optim = 'adamw_8bit': bitsandbytes is not installed; expected adamw_torch, or "
            "bitsandbytes installed"
        )
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    set_seed(params.seed)
    lora = params.lora and LoraConfig(
        task_type="CAUSAL_LM", lora_dropout=0.0, **params.lora.model_dump()
    )
    try:
        return TRAINERS[params.method](
            model=model_io.load(run.base, params.dtype),
            args=config,
            train_dataset=run.rows("rows"),
            eval_dataset=run.rows("held_out"),
            processing_class=model_io.load_tokenizer(run.base),
            callbacks=[callback],
            peft_config=lora,
        )
    except ValueError as error:
        if params.lora is None or "target" not in str(error).lower():
            raise
        raise InputError(
            f"train.lora.target_modules = {params.lora.target_modules}: {error}"
        ) from error


def _options_in_use(params: TrainParams, trainer: Any) -> dict[str, Any]:
    """Read the options back from the trainer, because libraries may ignore some silently."""
    config, model = trainer.args, trainer.model
    options = {
        "trainer": f"trl {trl.__version__} {params.method.upper()}Trainer",
        "torch": torch.__version__,
        "loss_type": "+".join(getattr(trainer, "loss_types", [config.loss_type])),
        "optim": str(config.optim.value),
        "lr_scheduler_type": str(config.lr_scheduler_type.value),
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "mixed_precision": trainer.accelerator.mixed_precision,
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "num_processes": trainer.accelerator.num_processes,
        "num_threads": torch.get_num_threads(),
        "fsdp": trainer.is_fsdp_enabled,
        "padding_free": trainer.is_padding_free,
    }
    options |= {name: getattr(config, name) for name in CONFIG_OPTIONS}
    options |= {name: getattr(trainer, name) for name in LOSS_OPTIONS if hasattr(trainer, name)}
    if hasattr(trainer.data_collator, "max_length"):
        options["max_length"] = trainer.data_collator.max_length
    adapters = getattr(model, "peft_config", {}).get("default")
    if adapters is not None:
        options["lora"] = {"r": adapters.r, "lora_alpha": adapters.lora_alpha}
    return options
