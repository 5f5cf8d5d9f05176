"""TRL's trainers for rows that are already tokenized and have reference log-probabilities.

Only this file and padding_free.py use private names of TRL and Transformers.
Checked with TRL 1.16 and Transformers 5.19. Here:

- `_prepare_dataset` is overridden. TRL's tokenization would append an end of turn to cut traces.
  Can go when DPO and KTO have SFT's `skip_prepare_dataset`.
- `_precompute_ref_logps` is overridden, because reference_logps.py computes each trace once for all
  runs. Can go when TRL accepts columns of reference log-probabilities.
- `_send_telemetry` is overridden, so that nothing is sent. HF_HUB_DISABLE_TELEMETRY would suffice,
  but is read when huggingface_hub is imported.
- `is_fsdp_enabled` is False while TRL builds a trainer (NoReferenceModel). Can go together with
  `_precompute_ref_logps`.
- `fsdp_plugin_args` is changed: `fsdp_config` has no key for the mixed precision policy.
- `add_fused_lm_head` gives a model the head that TRL's losses call. The reference uses it too,
  because the same kernel must compute both; else the first margin of a run is not 0.
"""

from pathlib import Path
from typing import Any

import torch
from accelerate.utils import save_fsdp_model
from torch.distributed.fsdp import MixedPrecisionPolicy
from transformers import Trainer
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, SFTConfig, SFTTrainer
from trl.trainer.utils import add_fused_lm_head

from delta.training import first_margin, padding_free
from delta.training.config import TrainParams

__all__ = ["TRAINERS", "add_fused_lm_head", "trl_config"]
CONFIGS = {"dpo": DPOConfig, "kto": KTOConfig, "sft": SFTConfig}


class PreparedDatasetTrainer(Trainer):
    """The common base of all trainers; precedes TRL's class in the order of bases."""

    method: str
    is_fsdp_enabled: bool
    model: Any
    args: Any
    accelerator: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._first_ratios: list[torch.Tensor] = []
        self.is_fsdp_enabled = getattr(self.accelerator.state, "fsdp_plugin", None) is not None
        has_adapters = hasattr(self.model, "peft_config")
        self.is_padding_free = padding_free.enable_padding_free(
            self.model.get_base_model() if has_adapters else self.model
        )

    def _prepare_dataset(self, dataset: Any, *_args: Any, **_kwargs: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *_args: Any, **_kwargs: Any) -> Any:
        return dataset

    def _send_telemetry(self) -> None:
        pass

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return TRL's loss; before the first update, measure the margin on these batches."""
        if self.state.global_step or self.method == "sft":
            return super().training_step(model, inputs, *args, **kwargs)
        log_probs: list[torch.Tensor] = []  # KTO's last forward pass is that of the completions

        def keep(_module: Any, _arguments: Any, outputs: Any) -> None:
            log_probs.append(outputs.log_probs.detach())

        hook = model.register_forward_hook(keep)
        try:
            loss = super().training_step(model, inputs, *args, **kwargs)
        finally:
            hook.remove()
        self._first_ratios.append(first_margin.log_ratios(inputs, log_probs[-1]))
        if self.accelerator.sync_gradients:  # the last batch of the step
            ratios = self.accelerator.gather(torch.cat(self._first_ratios))
            margin = first_margin.summarize(self.method, ratios.tolist())
            self.state.log_history.append({"step": 0, first_margin.KEY: margin})
        return loss

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the weights, under FSDP those of a checkpoint without the optimizer too."""
        super().save_model(output_dir, _internal_call)
        if self.is_fsdp_enabled and self.args.save_only_model:  # else saved with the optimizer
            plugin = self.accelerator.state.fsdp_plugin
            save_fsdp_model(plugin, self.accelerator, self.model, output_dir)

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """Return TRL's loss, computed under FSDP by the same autocast as in a single process."""
        if not self.is_fsdp_enabled:
            return super().compute_loss(*args, **kwargs)
        # Under FSDP, Accelerate would cast the model to bfloat16. Log-probabilities and gradients
        # would be bfloat16 sums over thousands of tokens and not match the reference (in a tiny
        # model, a first margin of -0.014 in place of 0). So use autocast, as a single process does.
        # Its cache is off because it would store the unsharded model.
        device_type = self.accelerator.device.type
        with torch.autocast(device_type, torch.bfloat16, self.args.bf16, cache_enabled=False):
            return super().compute_loss(*args, **kwargs)


class NoReferenceModel(Trainer):
    """Follows TRL's class in the order of bases, so its constructor runs inside TRL's.

    It keeps TRL from loading a second base in each FSDP process, which nothing would read.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_fsdp_enabled = False


class _DPOTrainer(PreparedDatasetTrainer, DPOTrainer, NoReferenceModel):
    method = "dpo"


class _KTOTrainer(PreparedDatasetTrainer, KTOTrainer, NoReferenceModel):
    method = "kto"


class _SFTTrainer(PreparedDatasetTrainer, SFTTrainer, NoReferenceModel):
    method = "sft"


TRAINERS = {"dpo": _DPOTrainer, "kto": _KTOTrainer, "sft": _SFTTrainer}


def trl_config(params: TrainParams, output_dir: Path) -> Any:
    """Return the method's config object of TRL."""
    config = CONFIGS[params.method](
        **params.trl_options(), output_dir=str(output_dir), use_cpu=not torch.cuda.is_available()
    )
    if params.fsdp:
        config.fsdp_plugin_args["mixed_precision_policy"] = MixedPrecisionPolicy()  # all in fp32
    return config
