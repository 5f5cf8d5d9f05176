"""Padding-free batches have the log-probabilities and gradients of padded ones."""

from pathlib import Path
from typing import Any

import pytest

from delta.training.dataset import split_held_out
from tests.helpers.tiny_models import train_params
from tests.helpers.training_runs import (
    LORA,
    RULE,
    read_numbers,
    six_pairs,
    train_model,
    with_reference,
)

pytestmark = pytest.mark.slow
LENGTHS = (9, 4, 17)
SHAPE: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}


def tiny_model(family: str, **changes: Any) -> Any:
    """Build a random model with TRL's fused head; equal arguments give equal weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **SHAPE | changes))
    outputs = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")
    add_fused_lm_head(model, outputs=outputs)
    return model


def batch(side: str) -> dict[str, Any]:
    """Return three sequences, each with a prompt of three tokens."""
    import torch

    longest = max(LENGTHS)
    token_ids = (
        torch.arange(1, 1 + len(LENGTHS) * longest).reshape(len(LENGTHS), longest) * 7 % 63 + 1
    )
    position = torch.arange(longest)
    if side == "left":
        position = position.flip(0)
    is_real = position[None] < torch.tensor(LENGTHS)[:, None]
    is_prompt = (is_real.cumsum(1) <= 3) & is_real
    ids = token_ids.where(is_real, 0)
    labels = ids.masked_fill(is_prompt | ~is_real, -100)
    return {"input_ids": ids, "attention_mask": is_real.long(), "labels": labels}


def gradients(model: Any, outputs: Any) -> dict[str, Any]:
    weights = [1.0, -2.0, 0.5]  # a weight for each sequence, as in a loss
    sum(
        weight * row.sum() for weight, row in zip(weights, outputs.log_probs, strict=True)
    ).backward()
    return {name: weight.grad for name, weight in model.named_parameters()}


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_log_probs_and_gradients_equal_those_with_padding(
    family: str, checkpointing: bool, side: str
) -> None:
    import torch

    from delta.training import padding_free

    padded, padding_free_model = tiny_model(family), tiny_model(family)
    assert padding_free.enable_padding_free(padding_free_model)
    if checkpointing:
        for model in (padded, padding_free_model):
            model.train().gradient_checkpointing_enable({"use_reentrant": False})
    expected, outputs = (
        model(**batch(side), fused_lm_head=True) for model in (padded, padding_free_model)
    )
    assert outputs.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(outputs[name], expected[name], atol=1e-5, rtol=1e-5, msg=name)
    expected_gradients = gradients(padded, expected)
    actual_gradients = gradients(padding_free_model, outputs)
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(actual_gradients[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def test_no_layer_sees_padding() -> None:
    from delta.training import padding_free

    model = tiny_model("llama")
    padding_free.enable_padding_free(model)
    shapes = []
    model.model.layers[0].mlp.register_forward_hook(lambda *args: shapes.append(args[2].shape))
    model(**batch("right"), fused_lm_head=True)
    assert shapes == [(1, sum(LENGTHS), SHAPE["hidden_size"])]


def test_a_saved_model_is_an_ordinary_one(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from delta.training import padding_free

    model = tiny_model("llama")
    padding_free.enable_padding_free(model)
    model.save_pretrained(tmp_path)
    assert padding_free.ATTENTION not in (tmp_path / "config.json").read_text()
    reloaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert reloaded.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("mistral", {"sliding_window": 4}),
        ("lfm2", {"layer_types": ["conv", "full_attention"]}),
        ("mamba", {"state_size": 4}),
        ("llama", {"attn_implementation": "eager"}),
    ],
)
def test_an_unsupported_architecture_stays_padded(family: str, changes: dict[str, Any]) -> None:
    from delta.training import padding_free

    model = tiny_model(family, **changes)
    forward = model.forward
    assert not padding_free.enable_padding_free(model)
    assert model.forward == forward


@pytest.mark.parametrize(
    ("method", "lora"), [("dpo", None), ("dpo", LORA), ("kto", None), ("sft", None)]
)
def test_a_padding_free_run_has_the_history_of_a_padded_one(
    method: str, lora: Any, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from delta.training import padding_free

    params = train_params(
        method=method,
        lora=lora,
        per_device_train_batch_size=3,
        early_stopping=RULE,
        lr_scheduler_type="constant_with_warmup",
    )
    train, held_out = (with_reference(params, part) for part in split_held_out(params, six_pairs()))
    ways = {"without": padding_free.enable_padding_free, "with": lambda _: False}
    for name, way in ways.items():
        monkeypatch.setattr("delta.training.padding_free.enable_padding_free", way)
        _, counts = train_model(params, train, base, tmp_path / name, held_out)
        assert counts["options"]["padding_free"] == (name == "without")
    for file in ("history.tsv", "held_out.tsv"):
        actual, expected = (read_numbers(tmp_path / name / file) for name in ways)
        assert actual
        for row, other in zip(actual, expected, strict=True):
            assert row == pytest.approx(other, abs=2e-5)
