"""Impossible combinations of training parameters are refused in one line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from delta.core.errors import InputError
from delta.core.params import load_section
from delta.training.config import TrainParams
from tests.helpers.tiny_models import train_params
from tests.helpers.training_runs import RULE

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
        {"dpo": {"num_train_epochs": None, "max_steps": 9}},
        {"early_stopping": RULE, "method": "sft"},
        {"early_stopping": RULE, "lr_scheduler_type": "constant_with_warmup"},
    ],
    ids=[
        *("fp32", "autocast", "sft has its own rate", "adapters are fp32", "fsdp", "lora with ddp"),
        *("steps", "sft is not stopped", "constant rate"),
    ],
)
def test_a_valid_combination_is_accepted(changes: dict[str, Any], tmp_path: Path) -> None:
    read(tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dpo": {"max_steps": 9}},
            "train.dpo.max_steps = 9: num_train_epochs is 1; expected a number for one of the two",
        ),
        (
            {"sft": {"num_train_epochs": None}},
            "train.sft.max_steps = None: num_train_epochs is None; expected a number",
        ),
        (
            {"early_stopping": RULE},
            "train.lr_scheduler_type = 'linear': as the learning rate falls to 0 the loss stops",
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


@pytest.mark.parametrize("processes", [1, 4])
@pytest.mark.parametrize("method", ["dpo", "kto", "sft"])
def test_a_batch_is_counted_in_pairs_and_kto_reads_two_rows_of_each(
    method: str, processes: int
) -> None:
    params = train_params(method=method, per_device_train_batch_size=3, num_processes=processes)
    rows = 6 if method == "kto" else 3
    assert params.trl_options()["per_device_train_batch_size"] == rows
    assert params.trl_options()["per_device_eval_batch_size"] == rows
    assert params.rows_per_forward == rows * processes


def test_steps_are_passed_on_in_place_of_epochs() -> None:
    steps = {"num_train_epochs": None, "max_steps": 250}
    params = train_params(
        dpo=steps, per_device_train_batch_size=2, num_processes=8, gradient_accumulation_steps=4
    )
    options = params.trl_options()
    assert options["max_steps"] == 250
    assert "num_train_epochs" not in options
    assert params.epochs(950) == pytest.approx(250 / 15)  # 15 steps of at most 64 pairs
    assert params.epochs(15_675) == pytest.approx(250 / 245)
    assert train_params().epochs(950) == 1


def test_a_warm_up_below_1_is_a_fraction_of_all_steps() -> None:
    assert train_params(warmup_steps=0.1).num_warmup_steps(250) == 25
    assert train_params(warmup_steps=0.1).num_warmup_steps(42) == 5
    assert train_params(warmup_steps=7).num_warmup_steps(42) == 7
    assert train_params().num_warmup_steps(42) == 0
