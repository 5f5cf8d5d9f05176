"""`datasets` loads an export by its card, and TRL trains on its rows unchanged."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.example_pairs import example_pairs
from tests.helpers.tiny_models import write_model
from tests.helpers.toy_export import PROMPT, TEXTS, export_toy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "out"
    export_toy(folder, run=example_pairs(TEXTS * 2))
    return folder


def load_config(folder: Path, config: str, cache: Path) -> Any:
    import datasets

    return datasets.load_dataset(str(folder), config, split="train", cache_dir=str(cache))


def test_load_dataset_reads_both_configs(folder: Path, tmp_path: Path) -> None:
    pairs = load_config(folder, "preference", tmp_path)
    assert pairs.num_rows == 6
    assert pairs[0]["prompt"] == [{"role": "user", "content": PROMPT}]
    assert pairs[0]["chosen"] == [{"role": "assistant", "content": "good one"}]
    single = load_config(folder, "unpaired", tmp_path)
    assert single.num_rows == 12
    assert sorted(single["label"]) == [False] * 6 + [True] * 6


def test_trl_recognizes_the_format(folder: Path, tmp_path: Path) -> None:
    from trl.data_utils import is_conversational

    for config in ("preference", "unpaired"):
        assert is_conversational(load_config(folder, config, tmp_path)[0])


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_trl_takes_a_step_on_the_rows_as_they_are(
    folder: Path, tmp_path: Path, method: str
) -> None:
    import trl
    from transformers import AutoModelForCausalLM, AutoTokenizer

    write_model(tmp_path / "tiny")
    config, trainer = {
        "dpo": (trl.DPOConfig, trl.DPOTrainer),
        "kto": (trl.KTOConfig, trl.KTOTrainer),
    }[method]
    options = config(
        output_dir=str(tmp_path / "out"),
        per_device_train_batch_size=2,
        max_steps=1,
        report_to=[],
        use_cpu=True,
        bf16=False,
        save_strategy="no",
    )
    rows = load_config(folder, "preference" if method == "dpo" else "unpaired", tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tiny")
    instance = trainer(
        model=AutoModelForCausalLM.from_pretrained(tmp_path / "tiny"),
        args=options,
        train_dataset=rows,
        processing_class=tokenizer,
    )
    prepared = instance.train_dataset[0]
    completion = "chosen_ids" if method == "dpo" else "completion_ids"
    assert "\\boxed{}.\n\nWhat is " in tokenizer.decode(prepared["prompt_ids"])
    assert re.search("good|bad|worse|worst", tokenizer.decode(prepared[completion]))
    assert instance.train().training_loss > 0
