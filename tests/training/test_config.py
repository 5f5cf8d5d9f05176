"""Impossible combinations of training parameters are refused in one line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from delta.core.errors import InputError
from delta.core.params import load_section
from delta.training.config import TrainParams
from tests.helpers.tiny_models import train_params

PAPER_RATE: dict[str, Any] = {"dpo": {"learning_rate": 5e-8}}
FSDP: dict[str, Any] = {"num_processes": 8, "fsdp": True}
LORA = {"r": 8, "lora_alpha": 16, "target_modules": ["q_proj"]}


def read(folder: Path, **changes: Any) -> TrainParams:
    """Read the section from a file; `changes` may be invalid."""
    values = train_params().model_dump()
    for name, value in changes.items():
        old = values[name]
        values[name] = old | value if isinstance(old, dict) else value
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump({"train": values}))
    return load_section("train", TrainParams, path)


def test_bfloat16_weights_at_the_papers_learning_rate_are_refused_with_the_reason(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, **PAPER_RATE, dtype="bfloat16", bf16=True)
    assert str(caught.value).partition(": ")[2] == (
        "train.dtype = 'bfloat16': at train.dpo.learning_rate = 5e-08 nearly every update is "
        "rounded away (at 5e-8, 100 steps changed 0.06% of the weights; in float32 99%); expected "
        "float32, or a learning rate of at least 1e-05"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {**PAPER_RATE},
        {**PAPER_RATE, "bf16": True},
        {"method": "sft", **PAPER_RATE, "dtype": "bfloat16", "bf16": True},
        {**PAPER_RATE, "dtype": "bfloat16", "bf16": True, "lora": LORA},
        {**FSDP, "bf16": True},
        {"num_processes": 2, "lora": LORA},
    ],
    ids=["fp32", "autocast", "sft has its own rate", "adapters are fp32", "fsdp", "lora with ddp"],
)
def test_a_valid_combination_is_accepted(changes: dict[str, Any], tmp_path: Path) -> None:
    read(tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"method": "kto", "per_device_train_batch_size": 1},
            "train.per_device_train_batch_size = 1: KTO",
        ),
        ({"dtype": "bfloat16"}, "train.dtype = 'bfloat16': bfloat16 weights compute in"),
        ({"fsdp": True}, "one process has nothing to shard"),
        ({**FSDP, "lora": LORA}, "train.lora = "),
        ({**FSDP, "optim": "adamw_8bit"}, "train.optim = 'adamw_8bit'"),
        ({"dpo": {"label_smoothing": 0.1}}, "train.dpo.label_smoothing is not known"),
        ({"lora": LORA | {"dropout": 0.1}}, "train.lora.dropout is not known"),
        ({"lr_scheduler_type": "cosinus"}, "train.lr_scheduler_type = 'cosinus'"),
    ],
)
def test_an_impossible_value_is_refused_with_key_and_reason(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, **changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
