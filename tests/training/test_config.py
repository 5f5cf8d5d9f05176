"""Combinations of training parameters that cannot be: one line with key, value and reason."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from delta.core.errors import InputError
from delta.core.params import load_section
from delta.training.config import TrainParams
from tests.helpers.tiny_models import train_params

SLOW = {"dpo": {"learning_rate": 5e-8}}
FSDP2 = {"processes": 8, "sharding": "fsdp2"}
LORA = {"rank": 8, "alpha": 16, "target": ["q_proj"]}


def read(folder: Path, **changes: Any) -> TrainParams:
    """The section as it comes from a file, where `changes` need not be allowed."""
    values = train_params().model_dump()
    for name, value in changes.items():
        known = values[name]
        values[name] = known | value if isinstance(known, dict) else value
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump({"train": values}))
    return load_section("train", TrainParams, path)


def test_bfloat16_weights_at_the_papers_learning_rate_are_refused_with_the_reason(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, **SLOW, weights="bfloat16", compute="bfloat16")
    assert str(caught.value).partition(": ")[2] == (
        "train.weights = 'bfloat16': at train.dpo.learning_rate = 5e-08 nearly every step is "
        "rounded away (at 5e-8, 100 steps moved 0.06 % of the weights; in float32 99 %); allowed: "
        "float32, or a learning rate of 1e-05 and more"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {**SLOW},
        {**SLOW, "compute": "bfloat16"},
        {"method": "sft", **SLOW, "weights": "bfloat16", "compute": "bfloat16"},
        {**SLOW, "weights": "bfloat16", "compute": "bfloat16", "lora": LORA},
        {"launch": FSDP2, "compute": "bfloat16"},
        {"launch": {"processes": 2}, "lora": LORA},
    ],
    ids=["fp32", "autocast", "sft has its own rate", "adapters are fp32", "fsdp2", "lora by ddp"],
)
def test_what_can_be_is_allowed(changes: dict[str, Any], tmp_path: Path) -> None:
    read(tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "kto", "batch_size": 1}, "train.batch_size = 1: KTO compares"),
        ({"weights": "bfloat16"}, "train.weights = 'bfloat16': weights of bfloat16 compute in"),
        ({"launch": {"sharding": "fsdp2"}}, "one process has nothing to shard"),
        ({"launch": FSDP2, "lora": LORA}, "train.lora is"),
        ({"launch": FSDP2, "optimizer": "adamw_8bit"}, "train.optimizer is 'adamw_8bit'"),
        ({"dpo": {"label_smoothing": 0.1}}, "train.dpo.label_smoothing is not known"),
        ({"lora": LORA | {"dropout": 0.1}}, "train.lora.dropout is not known"),
        ({"schedule": "cosinus"}, "train.schedule = 'cosinus'"),
    ],
)
def test_what_cannot_be_is_named(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, **changes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
