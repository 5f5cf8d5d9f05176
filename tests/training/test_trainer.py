"""Train a tiny random model: losses, reference, resume, early stopping."""

import math
from pathlib import Path
from typing import Any

import pytest

from delta.core.errors import InputError
from delta.training.config import TrainParams
from tests.helpers.tiny_models import train_params
from tests.helpers.training_runs import (
    BETA,
    LORA,
    dpo_loss,
    plain_log_prob,
    plain_log_probs,
    read_history,
    sigmoid,
    six_pairs,
    train_model,
    two_epochs,
    with_reference,
)

pytestmark = pytest.mark.slow


def first_loss(params: TrainParams, rows: Any, base: Path, folder: Path) -> float:
    train_model(params, rows, base, folder)
    return float(read_history(folder / "history.tsv")[0]["loss"])


@pytest.mark.parametrize("beta", [0.5, 0.1])
def test_the_first_dpo_loss_equals_the_formula(beta: float, base: Path, tmp_path: Path) -> None:
    from delta.training import model_io

    params = train_params(dpo={"beta": beta})
    rows = with_reference(params, six_pairs()[:2])  # one batch, so its order does not matter
    expected = dpo_loss(model_io.load(base, "float32"), rows, beta)
    assert first_loss(params, rows, base, tmp_path) == pytest.approx(expected, abs=1e-4)


def kto_loss(model: Any, rows: Any, beta: float, weights: dict[bool, float]) -> float:
    def log_ratio(row: Any, completion: str, reference: str) -> float:
        return plain_log_prob(model, row["prompt_ids"], row[completion]) - float(row[reference])

    shift = [log_ratio(row, "KL_completion_ids", "ref_KL_logps") for row in rows]
    kl = max(0.0, sum(shift) / len(shift))
    losses = []
    for row in rows:
        gain = log_ratio(row, "completion_ids", "ref_logps") - kl
        value = sigmoid(beta * gain) if row["label"] else sigmoid(-beta * gain)
        losses.append(weights[row["label"]] * (1 - value))
    return sum(losses) / len(losses)


@pytest.mark.parametrize(
    ("beta", "desirable", "undesirable", "swapped"),
    [(0.5, 1.0, 1.0, False), (0.1, 1.0, 1.0, False), (0.5, 2.0, 0.3, False), (0.5, 2.0, 0.3, True)],
)
def test_the_first_kto_loss_equals_the_formula(
    beta: float, desirable: float, undesirable: float, swapped: bool, base: Path, tmp_path: Path
) -> None:
    from delta.training import model_io

    method_params = {"beta": beta, "desirable_weight": desirable, "undesirable_weight": undesirable}
    params = train_params(method="kto", kto=method_params, per_device_train_batch_size=2)
    rows = with_reference(params, six_pairs()[:2])
    if swapped:
        rows = [row | {"label": not row["label"]} for row in rows]
    weights = {True: desirable, False: undesirable}
    model = model_io.load(base, "float32")
    kl = [plain_log_prob(model, r["prompt_ids"], r["KL_completion_ids"]) for r in rows]
    assert sum(kl) > sum(row["ref_KL_logps"] for row in rows)  # so that its term is not cut at 0
    expected = kto_loss(model, rows, beta, weights)
    assert first_loss(params, rows, base, tmp_path) == pytest.approx(expected, abs=1e-4)


def test_the_first_sft_loss_equals_the_formula(base: Path, tmp_path: Path) -> None:
    from delta.training import model_io

    params = train_params(method="sft")
    pairs = six_pairs()[:2]
    model = model_io.load(base, "float32")
    tokens = [
        log_prob
        for pair in pairs
        for log_prob in plain_log_probs(model, pair["prompt_ids"], pair["chosen_ids"])
    ]
    loss = first_loss(params, with_reference(params, pairs), base, tmp_path)
    assert loss == pytest.approx(-sum(tokens) / len(tokens), abs=1e-4)


def test_training_raises_the_margin_and_swapped_pairs_lower_it(base: Path, tmp_path: Path) -> None:
    from delta.training import model_io, weight_changes

    start = model_io.load(base, "float32")
    rows = with_reference(two_epochs(), six_pairs())
    swapped = [
        row | {"chosen_ids": row["rejected_ids"], "rejected_ids": row["chosen_ids"]} for row in rows
    ]

    def margin(model: Any) -> float:
        return sum(
            plain_log_prob(model, row["prompt_ids"], row["chosen_ids"])
            - plain_log_prob(model, row["prompt_ids"], row["rejected_ids"])
            for row in rows
        )

    forward, counts = train_model(two_epochs(), rows, base, tmp_path / "a")
    backward, _ = train_model(two_epochs(), swapped, base, tmp_path / "b")
    assert margin(forward) > margin(start) + 1
    assert margin(backward) < margin(start) - 1
    assert counts["options"]["beta"] == BETA
    assert counts["options"]["dtype"] == "float32"
    forward.save_pretrained(tmp_path / "policy")
    changed = weight_changes.compare(base, tmp_path / "policy")["weights_changed"]
    assert 0.1 < changed["bfloat16"] < 0.9  # unseen tokens keep their embeddings
    check_policy_measures(base, start, tmp_path / "policy", forward)
    history = read_history(tmp_path / "a/history.tsv")
    for side in ("chosen", "rejected"):
        logged = [float(row[f"logps_{side}"]) for row in history]
        ends = {"first": logged[0], "last": logged[-1]}
        assert counts["logps"][side] == pytest.approx(ends, abs=1e-3)


def check_policy_measures(base: Path, start: Any, folder: Path, policy: Any) -> None:
    """Check the measures of a saved policy against one plain forward pass per trace."""
    import torch

    from delta.training import policy_measures

    def warn(message: str) -> None:
        raise AssertionError(message)

    measured = policy_measures.measure(two_epochs(), (base, folder), six_pairs(), warn)
    result = measured["policy_against_base"]
    for side in ("chosen", "rejected"):
        before, after = (
            sum(plain_log_prob(model, row["prompt_ids"], row[f"{side}_ids"]) for row in six_pairs())
            / 6
            for model in (start, policy)
        )
        expected = {"base": before, "policy": after, "change": after - before}
        assert result[side] == pytest.approx(expected, abs=1e-3)
    assert result["margin"] == pytest.approx(
        result["chosen"]["change"] - result["rejected"]["change"], abs=1e-3
    )
    assert sum(result["margins"]) / 6 == pytest.approx(result["margin"], abs=1e-3)
    assert result["pair_ids"] == ["p0", "p1", "p2", "p3", "p4", "p5"]

    def distributions(model: Any, row: Any) -> Any:
        ids = torch.tensor([row["prompt_ids"] + row["chosen_ids"]])
        with torch.no_grad():
            return model(input_ids=ids).logits[0].softmax(dim=-1)[len(row["prompt_ids"]) - 1 : -1]

    divergences = []
    for row in six_pairs():
        p, q = distributions(policy, row), distributions(start, row)
        divergences += (p * (p / q).log()).sum(dim=1).tolist()
    assert result["tokens"] == len(divergences) == 2 + 3 + 4 + 2 + 3 + 4
    assert result["kl_per_token"] == pytest.approx(sum(divergences) / 18, rel=1e-3)


OPTIONS: dict[str, dict[str, Any]] = {
    "dpo": {"trainer": "trl 1.16.0 DPOTrainer", "loss_type": "sigmoid", "label_smoothing": 0.0},
    "kto": {"trainer": "trl 1.16.0 KTOTrainer", "loss_type": "kto", "undesirable_weight": 0.7},
    "sft": {"trainer": "trl 1.16.0 SFTTrainer", "loss_type": "nll"},
}


@pytest.mark.parametrize("method", ["dpo", "kto", "sft"])
def test_the_options_in_use_are_read_back_from_the_trainer(
    method: str, base: Path, tmp_path: Path
) -> None:
    params = train_params(
        method=method,
        kto={"undesirable_weight": 0.7},
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=0.5,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        gradient_checkpointing=True,
        bf16=True,
    )
    _, counts = train_model(params, with_reference(params, six_pairs()), base, tmp_path)
    expected = OPTIONS[method] | {
        "lr_scheduler_type": "constant_with_warmup",
        "learning_rate": 0.01,
        "mixed_precision": "bf16",
        "dtype": "float32",
        "trainable_parameters": 37_216,
        "gradient_accumulation_steps": 2,
        "gradient_checkpointing": True,
        "fsdp": False,
    }
    assert expected.items() <= counts["options"].items()
    rates = [float(row["learning_rate"]) for row in read_history(tmp_path / "history.tsv")]
    assert (rates[0], rates[-1]) == (0.0, 0.01)  # warmed up, then constant


def test_only_adapters_are_trained_and_they_are_merged(base: Path, tmp_path: Path) -> None:
    from delta.training import model_io

    params = two_epochs(lora=LORA, dtype="bfloat16", bf16=True)
    rows = with_reference(params, six_pairs())
    merged, counts = train_model(params, rows, base, tmp_path)
    assert counts["options"]["trainable_parameters"] == 2 * 2 * (4 * 32 + 32 * 4)
    assert counts["options"]["lora"] == {"r": 4, "lora_alpha": 8}
    start = model_io.load(base, "float32").state_dict()
    after = merged.state_dict()
    assert after.keys() == start.keys()  # a complete model without adapters
    changed = {name for name in start if not after[name].equal(start[name])}
    assert {name.split(".")[-2] for name in changed} == {"q_proj", "v_proj"}


def test_missing_target_modules_are_named(base: Path, tmp_path: Path) -> None:
    params = two_epochs(lora=LORA | {"target_modules": ["w_pack"]})
    with pytest.raises(InputError, match=r"train.lora.target_modules = \['w_pack'\]"):
        train_model(params, with_reference(params, six_pairs()), base, tmp_path)


def test_a_nan_loss_is_an_error(base: Path, tmp_path: Path) -> None:
    params = two_epochs()
    rows = [row | {"ref_chosen_logps": math.nan} for row in with_reference(params, six_pairs())]
    with pytest.raises(InputError, match=r"train.dpo.learning_rate = 0.01: the loss is no longer"):
        train_model(params, rows, base, tmp_path)


def test_fewer_rows_than_a_batch_are_refused(base: Path, tmp_path: Path) -> None:
    params = two_epochs(per_device_train_batch_size=7)
    with pytest.raises(InputError, match="only 6; expected 1 to 6"):
        train_model(params, with_reference(params, six_pairs()), base, tmp_path)


def test_no_telemetry_is_sent(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(
        "trl.trainer.base_trainer.send_telemetry", lambda *args, **_: sent.append(args)
    )
    params = two_epochs(dpo={"num_train_epochs": 1})
    train_model(params, with_reference(params, six_pairs()), base, tmp_path)
    assert sent == []


def test_8_bit_adam_trains_or_names_the_missing_package(base: Path, tmp_path: Path) -> None:
    import importlib.util

    params = two_epochs(optim="adamw_8bit")
    rows = with_reference(params, six_pairs())
    if importlib.util.find_spec("bitsandbytes") is None:
        with pytest.raises(InputError, match="bitsandbytes is not installed"):
            train_model(params, rows, base, tmp_path)
        return
    _, counts = train_model(params, rows, base, tmp_path)
    assert counts["options"]["optim"] == "adamw_8bit"
    assert counts["last_margin"] > 0
