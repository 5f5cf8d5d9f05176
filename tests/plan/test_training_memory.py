"""The memory of training: by hand, and as two processes on CPUs measure it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from delta.plan.model_sizes import KNOWN_MODELS, SHAPES, Shape
from delta.plan.training_memory import batch_tokens, layer_bytes, training_memory
from delta.training import launch
from delta.training.config import TrainParams
from tests.helpers.import_closure import ROOT
from tests.helpers.tiny_models import train_params, write_byte_tokenizer
from tests.helpers.training_runs import FAKE_GPUS

NEMOTRON_8B = SHAPES["nvidia/Llama-3.1-Nemotron-Nano-8B-v1"]
TINY = Shape(128, 448, 8, 4, 1, 32, 512, tied=False)


def on_gpu(**changes: Any) -> TrainParams:
    return train_params(**{"bf16": True, "gradient_checkpointing": True} | changes)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_has_the_parameters_of_its_model(name: str) -> None:
    shape, known = SHAPES[name], KNOWN_MODELS[name]
    counted = shape.layers * shape.layer_parameters + shape.embedding_parameters
    assert counted == pytest.approx(known.parameters * 1e9, rel=0.005)
    assert 2 * 2 * shape.layers * shape.kv == known.kv_bytes


def test_llama_8b_keeps_250_kilobytes_a_token_in_a_layer_and_16_as_its_input() -> None:
    # 32 x 4,096 + 8 x 14,336 + 4 x 1,024 + 4 x 32, and 4 x 4,096
    saved, computed = layer_bytes(on_gpu(), NEMOTRON_8B)
    assert saved == 249_984
    # 20 x 4,096 + 12 x 14,336 + 4 x 1,024 + 4 x 32
    assert computed == 258_176
    memory = training_memory(on_gpu(), 8.03e9, NEMOTRON_8B, tokens=1)
    assert memory.checkpoints == 32 * 16_384


def test_without_autocast_a_layer_has_twice_the_bytes_and_its_input_the_same() -> None:
    saved, computed = layer_bytes(on_gpu(bf16=False), NEMOTRON_8B)
    assert (saved, computed) == (2 * 249_984 - 4 * 32, 2 * 258_176 - 4 * 32)
    memory = training_memory(on_gpu(bf16=False), 8.03e9, NEMOTRON_8B, tokens=1)
    assert memory.checkpoints == 32 * 16_384


def test_8b_on_eight_gpus_takes_50_gigabytes() -> None:
    # Of 32,768 tokens: 16 GB of shards, 8.6 gathered, 17.2 of inputs, 8.5 inside a layer.
    train = on_gpu(max_length=8_192, num_processes=8, fsdp=True)
    memory = training_memory(train, 8.03e9, NEMOTRON_8B, batch_tokens(train))
    assert batch_tokens(train) == 32_768
    assert memory.kept == pytest.approx(16.06e9)
    assert memory.gathered == pytest.approx(8.6e9, rel=0.01)
    assert memory.checkpoints == pytest.approx(17.2e9, rel=0.01)
    assert memory.layer == pytest.approx(8.46e9, rel=0.01)
    assert memory.total == pytest.approx(50.3e9, rel=0.01)


def test_adapters_have_moments_and_the_base_has_none() -> None:
    adapters = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"]}
    memory = training_memory(on_gpu(lora=adapters, dtype="bfloat16"), 1e6, TINY, tokens=0)
    # 8 layers x 4 x (128 + 128 + 448 + 128)
    assert memory.gradients == 4 * 26_624
    assert memory.weights == 2e6 + 4 * 26_624
    assert memory.moments == 8 * 26_624


def write_base(folder: Path, shape: Shape) -> None:
    import torch
    import transformers

    write_byte_tokenizer(folder, ("<|im_start|>", "<|im_end|>"), "")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        tie_word_embeddings=shape.tied,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)


@pytest.mark.slow
def test_two_processes_measure_the_memory_that_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FSDP2 on CPUs, two passes a step; every tensor counts as on a GPU, but in the fused head."""
    write_base(tmp_path / "base", TINY)
    train = on_gpu(
        num_processes=2,
        fsdp=True,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=2,
        max_length=300,
    )
    row: dict[str, Any] = {
        "prompt_ids": [5] * 10,
        "chosen_ids": [6] * 290,
        "rejected_ids": [7] * 290,
    }
    row |= {"ref_chosen_logps": -10.0, "ref_rejected_logps": -12.0}
    launch.prepare_run(tmp_path / "run", train, tmp_path / "base", [row] * 8, [])
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(FAKE_GPUS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), str(ROOT)]))
    files = [str(tmp_path / name) for name in ("run", "history.tsv", "held_out.tsv")]
    command = launch.accelerate_command(2, files)
    command[command.index("delta.training.launch")] = "tests.helpers.measured_training"
    subprocess.run(command, check=True, cwd=tmp_path, timeout=200)
    measured = json.loads((tmp_path / "run/memory.json").read_text())
    parameters = TINY.layers * TINY.layer_parameters + TINY.embedding_parameters
    memory = training_memory(train, parameters, TINY, batch_tokens(train))
    assert batch_tokens(train) == 600
    for kind in ("weights", "gradients", "moments"):
        assert getattr(memory, kind) == pytest.approx(measured[kind], rel=0.01)
    assert memory.total == pytest.approx(measured["peak"], rel=0.15)
