"""Model folders around training: the base that is loaded, the whole policy that is written."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from delta.core import fingerprint
from delta.core.files import atomic_folder
from delta.training.config import TrainParams

NOT_COPIED = (fingerprint.FINGERPRINT_FILE, "model.safetensors.index.json")
SHARDED = "pytorch_model_fsdp_0"  # the folder of a checkpoint whose weights are in parts


def load(folder: Path, dtype: str) -> Any:
    """The model with weights of `dtype`, whatever the folder holds; none of them random."""
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=getattr(torch, dtype), output_loading_info=True, use_safetensors=True
    )
    lost = [*info["missing_keys"], *info["mismatched_keys"]]
    assert not lost, f"{folder}: these weights would be random: {lost}"
    return model


def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


def load_checkpoint(params: TrainParams, base: Path, checkpoint: Path) -> Any:
    """The whole model of a checkpoint: parts put together, adapters merged."""
    if params.lora is not None:
        from peft import PeftModel

        # Merged in fp32: small updates would be rounded away in bfloat16 weights.
        model = PeftModel.from_pretrained(load(base, "float32"), checkpoint)
        return model.merge_and_unload()
    if (checkpoint / SHARDED).is_dir():
        from accelerate.utils import merge_fsdp_weights

        merge_fsdp_weights(str(checkpoint / SHARDED), str(checkpoint))
        shutil.copy2(base / "config.json", checkpoint / "config.json")
    return load(checkpoint, params.weights)


def save(
    params: TrainParams,
    base: Path,
    checkpoint: Path,
    target: Path,
    end_of_turn: int,
    fill: Callable[[Path], object],
) -> dict[str, float]:
    """A checkpoint's weights with the base's own tokenizer files; `fill` stamps the whole folder.

    Returns how much training moved. The policy stops at `end_of_turn`, which it was trained to
    write, also where the base's generation settings do not name that token.
    """
    model = load_checkpoint(params, base, checkpoint)
    _end_at(model.generation_config, end_of_turn)
    with atomic_folder(target) as part:
        model.save_pretrained(part)
        for file in base.iterdir():
            weights_or_card = file.suffix == ".safetensors" or file.name in NOT_COPIED
            if file.is_file() and not weights_or_card and not (part / file.name).exists():
                shutil.copy2(file, part / file.name)  # tokenizer, template, generation settings
        fill(part)
    return fraction_of_weights_changed(model, base)


def _end_at(settings: Any, end_of_turn: int) -> None:
    known = settings.eos_token_id
    ends = known if isinstance(known, list) else [] if known is None else [known]
    if end_of_turn not in ends:
        settings.eos_token_id = [*ends, end_of_turn]


def fraction_of_weights_changed(model: Any, base: Path) -> dict[str, float]:
    """Share of the weights that training changed, and of those that a server in bfloat16 sees.

    At the paper's learning rate of 5e-8 most changes are below half a step of bfloat16.
    """
    before = load(base, "float32").state_dict()
    total = changed = seen = 0
    for name, after in model.state_dict().items():
        now, then = after.float().cpu(), before[name]
        total += now.numel()
        changed += int((now != then).sum())
        seen += int((now.bfloat16() != then.bfloat16()).sum())
    return {"share": round(changed / total, 4), "share_in_bfloat16": round(seen / total, 4)}
