"""Without padding a batch has the log-probabilities and gradients that it has with it."""

from pathlib import Path
from typing import Any

import pytest

from delta.training.dataset import split_held_out
from tests.helpers.tiny_models import train_params, write_model
from tests.training.test_launch import numbers
from tests.training.test_trainer import LORA, RULE, run, screen, some_pairs, with_reference

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


def tiny(family: str, **changes: Any) -> Any:
    """A random model with TRL's fused head; the same one for the same arguments."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **SHAPE | changes))
    outputs = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")
    add_fused_lm_head(model, outputs=outputs)
    return model


def batch(side: str) -> dict[str, Any]:
    """Three sequences; of each the first three tokens are the prompt."""
    import torch

    longest = max(LENGTHS)
    numbers = (
        torch.arange(1, 1 + len(LENGTHS) * longest).reshape(len(LENGTHS), longest) * 7 % 63 + 1
    )
    place = torch.arange(longest)
    if side == "left":
        place = place.flip(0)
    real = place[None] < torch.tensor(LENGTHS)[:, None]
    prompt = (real.cumsum(1) <= 3) & real
    ids = numbers.where(real, 0)
    labels = ids.masked_fill(prompt | ~real, -100)
    return {"input_ids": ids, "attention_mask": real.long(), "labels": labels}


def gradients(model: Any, found: Any) -> dict[str, Any]:
    weights = [1.0, -2.0, 0.5]  # as a loss would: of each sequence another
    sum(weight * row.sum() for weight, row in zip(weights, found.log_probs, strict=True)).backward()
    return {name: one.grad for name, one in model.named_parameters()}


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_every_token_has_the_log_prob_and_every_weight_the_gradient_that_it_has_with_padding(
    family: str, checkpointing: bool, side: str
) -> None:
    import torch

    from delta.training import padding_free

    padded, bare = tiny(family), tiny(family)
    assert padding_free.enable_padding_free(bare)
    if checkpointing:
        for model in (padded, bare):
            model.train().gradient_checkpointing_enable({"use_reentrant": False})
    expected, found = (model(**batch(side), fused_lm_head=True) for model in (padded, bare))
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=1e-5, msg=name)
    wanted, got = gradients(padded, expected), gradients(bare, found)
    for name, gradient in wanted.items():
        torch.testing.assert_close(got[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


def test_nothing_is_computed_where_padding_would_stand() -> None:
    from delta.training import padding_free

    model = tiny("llama")
    padding_free.enable_padding_free(model)
    seen = []
    model.model.layers[0].mlp.register_forward_hook(lambda *at: seen.append(at[2].shape))
    model(**batch("right"), fused_lm_head=True)
    assert seen == [(1, sum(LENGTHS), SHAPE["hidden_size"])]


def test_what_is_saved_is_an_ordinary_model(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from delta.training import padding_free

    model = tiny("llama")
    padding_free.enable_padding_free(model)
    model.save_pretrained(tmp_path)
    assert padding_free.ATTENTION not in (tmp_path / "config.json").read_text()
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.config._attn_implementation == "sdpa"


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("mistral", {"sliding_window": 4}),
        ("lfm2", {"layer_types": ["conv", "full_attention"]}),
        ("mamba", {"state_size": 4}),
        ("llama", {"attn_implementation": "eager"}),
    ],
)
def test_a_model_whose_tokens_meet_otherwise_keeps_its_padding(
    family: str, changes: dict[str, Any]
) -> None:
    from delta.training import padding_free

    model = tiny(family, **changes)
    forward = model.forward
    assert not padding_free.enable_padding_free(model)
    assert model.forward == forward


@pytest.mark.parametrize(
    ("method", "lora"), [("dpo", None), ("dpo", LORA), ("kto", None), ("sft", None)]
)
def test_a_run_without_padding_has_the_history_of_one_with_it(
    method: str, lora: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from delta.training import padding_free

    write_model(tmp_path / "base")
    params = train_params(method=method, lora=lora, batch_size=3, convergence=RULE)
    train, held = (with_reference(params, part) for part in split_held_out(params, some_pairs()))
    kinds = {"without": padding_free.enable_padding_free, "with": lambda _: False}
    for name, kind in kinds.items():
        monkeypatch.setattr("delta.training.padding_free.enable_padding_free", kind)
        _, facts = run(params, train, tmp_path / "base", tmp_path / name, screen(), held)
        assert facts["options"]["padding_free"] == (name == "without")
    for file in ("history.tsv", "held_out.tsv"):
        found, expected = (numbers(tmp_path / name / file) for name in kinds)
        assert found
        for row, other in zip(found, expected, strict=True):
            assert row == pytest.approx(other, abs=2e-5)
