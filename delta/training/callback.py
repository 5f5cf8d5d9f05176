"""What happens between optimizer steps: logs, evaluations, checkpoints, early stopping."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from delta.training import checkpoints
from delta.training.config import TrainParams

OnStep = Callable[[int, int], None]  # optimizer steps done, and in total
OnLog = Callable[[checkpoints.Log], None]


class TrainingCallback(TrainerCallback):
    """Write the history at each log, save and mark checkpoints, and apply early stopping.

    The clock decides only when a checkpoint is written, never what the run computes: it is written
    at a step that logs in any case, because a log begins new averages.
    """

    def __init__(self, params: TrainParams, folder: Path, on_step: OnStep, on_log: OnLog) -> None:
        self.params = params
        self.on_step = on_step
        self.write_log = on_log
        self.marker = checkpoints.BackgroundMarker(folder, params)
        self.saved_at = monotonic()  # of the last checkpoint that can be resumed

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.saved_at = monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.on_step(state.global_step, state.max_steps)
        is_last = state.global_step >= state.max_steps
        if self.params.early_stopping is not None:
            warmup = self.params.num_warmup_steps(state.max_steps)
            control.should_evaluate |= state.global_step == warmup
        control.should_log |= control.should_evaluate or is_last
        is_due = control.should_log and not is_last and self._is_due()
        control.should_save = is_due or is_last
        args.save_only_model = not is_due

    def _is_due(self) -> bool:
        """Return whether it is time for a checkpoint, by the clock of the first process."""
        elapsed = torch.tensor(monotonic() - self.saved_at, device=PartialState().device)
        if float(broadcast(elapsed)) < 60 * self.params.save_minutes:
            return False
        self.saved_at = monotonic()
        return True

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.is_world_process_zero:
            self.write_log(state.log_history)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        decision = checkpoints.decide_from_log(self.params, state.log_history, state.max_steps)
        if decision is None or state.global_step == 0:
            return
        if decision.best.step == state.global_step:
            control.should_save = True  # these weights may become the policy
        if decision.converged_at is not None:
            control.should_training_stop = control.should_save = True
            args.save_only_model = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        PartialState().wait_for_everyone()  # every process writes its part of a checkpoint
        if state.is_world_process_zero:
            self.marker.mark(state.global_step, resumable=not args.save_only_model)
