"""One training run by TRL: reference once, checkpoints that resume, a history that is a plot.

Checkpoints lie beside the reply store, since DVC deletes a stage's outputs before it runs. They are
kept under the hash of all that shapes the run, marked when whole, and resumed only when marked: a
checkpoint without its optimizer would resume without a word and diverge.
"""

import csv
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
import trl
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from trl import DPOConfig, DPOTrainer

from delta import weights
from delta.console import Console
from delta.errors import InputError
from delta.train import TrainParams

MARK = "COMPLETE"
NOT_SHAPING = ("output_dir", "logging_dir", "run_name", "local_rank", "hub_token")
NOT_COPIED = (weights.CARD, "model.safetensors.index.json")
COLUMNS = ("step", "loss", "rewards/margins", "rewards/accuracies", "grad_norm", "learning_rate")


class PairTrainer(DPOTrainer):
    """TRL's DPO trainer on rows that are tokenised and have their reference log-probabilities."""

    def _prepare_dataset(self, dataset: Any, *_args: Any, **_kwargs: Any) -> Any:
        return dataset  # TRL's own tokenisation would append an end of turn to cut traces

    def _precompute_ref_logps(self, dataset: Any, *_args: Any, **_kwargs: Any) -> Any:
        return dataset  # delta.reference computed them, once for each trace


class Watch(TrainerCallback):
    """Writes the history at every log, marks whole checkpoints, shows how far it is."""

    def __init__(self, history: Path, console: Console) -> None:
        self.history = history
        self.console = console
        self.steps: Any = None

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self.steps is None:
            remaining = range(state.max_steps - state.global_step + 1)
            self.steps = self.console.progress(remaining, len(remaining), "train")
        next(self.steps, None)
        if state.global_step == state.max_steps:
            next(self.steps, None)  # the bar counts a step when the next one is asked for
            control.should_log = True  # also where log_every does not divide the steps

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        # The state holds all that was logged, also before a resume: write it whole.
        write_history(self.history, state.log_history)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        assert args.output_dir is not None
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        for file in folder.rglob("*"):
            if file.is_file():
                with file.open("rb") as written:
                    os.fsync(written.fileno())
        (folder / MARK).touch()


def write_history(path: Path, log_history: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(name.replace("/", "_") for name in COLUMNS)
        for entry in log_history:
            if "loss" in entry:
                writer.writerow(
                    entry["step"] if name == "step" else f"{float(entry[name]):.6g}"
                    for name in COLUMNS
                )
    part.replace(path)


def load_base(folder: Path) -> tuple[Any, Any]:
    """Model with fp32 weights and tokenizer. In bf16, steps of 5e-8 would round to nothing."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return model, AutoTokenizer.from_pretrained(folder)


def run_key(params: TrainParams, rows: list[dict[str, Any]], fingerprint: str) -> str:
    """Identity of a training run: parameters, options, base model, rows in order, versions."""
    options = arguments(params, Path("checkpoints")).to_dict()
    shaping = {name: str(value) for name, value in options.items() if name not in NOT_SHAPING}
    versions = [trl.__version__, transformers.__version__, torch.__version__]
    text = json.dumps([params.model_dump(), rows, fingerprint, shaping, versions], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The latest marked checkpoint; unmarked ones are deleted, since nothing may resume them."""
    whole = []
    for checkpoint in folder.glob("checkpoint-*"):
        if (checkpoint / MARK).is_file():
            whole.append(checkpoint)
        else:
            shutil.rmtree(checkpoint)
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def discard(checkpoints: Path) -> None:
    """Remove a run's checkpoints, their marks first: a kill in between leaves none to resume."""
    for mark in checkpoints.glob(f"checkpoint-*/{MARK}"):
        mark.unlink()
    shutil.rmtree(checkpoints)


def arguments(params: TrainParams, checkpoints: Path) -> DPOConfig:
    """TRL's configuration. What shapes the result is from `params` or stands here by name."""
    return DPOConfig(
        output_dir=str(checkpoints),
        loss_type=["sigmoid"],
        beta=params.beta,
        learning_rate=params.learning_rate,
        num_train_epochs=params.epochs,
        per_device_train_batch_size=params.batch_size,
        gradient_accumulation_steps=params.accumulation,
        warmup_steps=params.warmup_share,
        max_grad_norm=params.max_grad_norm,
        lr_scheduler_type="linear",
        optim="adamw_torch",
        weight_decay=0.0,
        label_smoothing=0.0,
        logging_nan_inf_filter=False,  # it would show the running average in place of a NaN
        max_length=params.max_length,
        precompute_ref_log_probs=True,
        gradient_checkpointing=False,
        seed=params.seed,
        data_seed=params.seed,
        bf16=torch.cuda.is_available(),  # autocast; weights and optimizer stay fp32
        logging_steps=params.log_every,
        save_strategy="steps",
        save_steps=params.save_every,
        save_total_limit=2,  # the last, and one before in case a kill tears the last
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    )


def train(
    params: TrainParams,
    rows: list[dict[str, Any]],
    base: tuple[Any, Any],
    checkpoints: Path,
    history: Path,
    console: Console,
) -> tuple[Any, dict[str, Any]]:
    """The trained model and what the trainer says of itself: steps, losses, options in force.

    Raises InputError where there are fewer rows than one batch.
    """
    if len(rows) < params.batch_size:
        raise InputError(
            f"train.batch_size = {params.batch_size}: there are only {len(rows)} pairs; allowed: "
            f"1 to {len(rows)}"
        )
    set_seed(params.seed)
    model, tokenizer = base
    trainer = PairTrainer(
        model=model,
        args=arguments(params, checkpoints),
        train_dataset=datasets.Dataset.from_list(
            [{name: value for name, value in row.items() if name != "pair_id"} for row in rows]
        ),
        processing_class=tokenizer,
        callbacks=[Watch(history, console)],
    )
    resumed = last_whole_checkpoint(checkpoints)
    if resumed is not None:
        console.say(f"train: going on from {resumed.name}")
    result = trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    if not all(math.isfinite(entry["loss"]) for entry in logged):
        raise InputError(
            f"train.learning_rate = {params.learning_rate}: the loss is not finite any more; "
            f"{checkpoints} holds the run; allowed: a smaller learning rate"
        )
    facts = {
        "steps": result.global_step,
        "first_loss": round(float(logged[0]["loss"]), 4),
        "last_loss": round(float(logged[-1]["loss"]), 4),
        "last_margin": round(float(logged[-1]["rewards/margins"]), 4),
        "options": _options(trainer),
    }
    return trainer.model, facts


def _options(trainer: Any) -> dict[str, Any]:
    """Read back from the trainer, not from our params: libraries have dropped options unsaid."""
    return {
        "trainer": f"trl {trl.__version__} {type(trainer).__mro__[1].__name__}",
        "loss_type": "+".join(trainer.loss_types),
        "label_smoothing": trainer.label_smoothing,
        "optimizer": str(trainer.args.optim.value),
        "weight_decay": trainer.args.weight_decay,
        "beta": trainer.beta,
        "weights": str(next(trainer.model.parameters()).dtype),
        "max_length": trainer.data_collator.max_length,
        "batch_size": trainer.args.per_device_train_batch_size,
        "accumulation": trainer.args.gradient_accumulation_steps,
    }


def save(model: Any, base: Path, target: Path, fill: Callable[[Path], object]) -> None:
    """Weights in fp32 with the base's own tokenizer files; `fill` stamps the folder when whole."""
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    for file in base.iterdir():
        weights_or_card = file.suffix == ".safetensors" or file.name in NOT_COPIED
        if file.is_file() and not weights_or_card and not (part / file.name).exists():
            shutil.copy2(file, part / file.name)  # tokenizer, template, generation settings
    fill(part)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
