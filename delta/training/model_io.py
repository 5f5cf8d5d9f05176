"""Load the base model and checkpoints, and write the policy's folder."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from delta.core import fingerprint
from delta.core.files import atomic_folder
from delta.core.types import Counts
from delta.training import weight_changes
from delta.training.config import TrainParams

NOT_COPIED = (fingerprint.FINGERPRINT_FILE, "model.safetensors.index.json")
SHARDS = "pytorch_model_fsdp_0"  # folder in a checkpoint whose weights are sharded


def load(folder: Path, dtype: str, device: str = "cpu") -> Any:
    """Load a model with weights in `dtype`; assert that no weight is missing in the folder.

    A GPU's copy is read straight to it: as many processes as GPUs would else need as many copies of
    the model in the machine's memory.
    """
    model, info = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=getattr(torch, dtype),
        output_loading_info=True,
        use_safetensors=True,
        device_map=None if device == "cpu" else device,
    )
    missing = [*info["missing_keys"], *info["mismatched_keys"]]
    assert not missing, f"{folder}: these weights would be random: {missing}"
    return model


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a model folder."""
    return AutoTokenizer.from_pretrained(folder)


def load_checkpoint(params: TrainParams, base: Path, checkpoint: Path) -> Any:
    """Load a checkpoint as a complete model: merge its shards, or its adapters into the base."""
    if params.lora is not None:
        from peft import PeftModel

        # Merge in fp32, because bfloat16 would round small updates away.
        model = PeftModel.from_pretrained(load(base, "float32"), checkpoint)
        return model.merge_and_unload()
    if (checkpoint / SHARDS).is_dir():
        from accelerate.utils import merge_fsdp_weights

        merge_fsdp_weights(str(checkpoint / SHARDS), str(checkpoint))
        shutil.copy2(base / "config.json", checkpoint / "config.json")
    return load(checkpoint, params.dtype)


def save(
    params: TrainParams,
    base: Path,
    checkpoint: Path,
    target: Path,
    end_of_turn: int,
    complete: Callable[[Path], object],
) -> Counts:
    """Write a checkpoint's weights and the base's tokenizer files; call `complete` on the folder.

    Return weight_changes.compare. The policy's generation settings name `end_of_turn`, which
    it was trained to write, even if the base's do not.
    """
    model = load_checkpoint(params, base, checkpoint)
    _add_end_token(model.generation_config, end_of_turn)
    with atomic_folder(target) as part:
        model.save_pretrained(part)
        for file in base.iterdir():
            is_weights_or_card = file.suffix == ".safetensors" or file.name in NOT_COPIED
            if file.is_file() and not is_weights_or_card and not (part / file.name).exists():
                shutil.copy2(file, part / file.name)  # tokenizer, chat template
        changes = weight_changes.compare(base, part)
        complete(part)
    return changes


def _add_end_token(generation_config: Any, end_of_turn: int) -> None:
    known = generation_config.eos_token_id
    ends = known if isinstance(known, list) else [] if known is None else [known]
    if end_of_turn not in ends:
        generation_config.eos_token_id = [*ends, end_of_turn]
