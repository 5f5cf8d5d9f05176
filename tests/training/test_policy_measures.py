"""What a pass over the trained pairs says of the policy, by hand; test_trainer has a real one."""

import math
from pathlib import Path

import pytest

from delta.training import policy_measures
from tests.helpers.tiny_models import train_params


def test_margins_are_changes_of_chosen_less_those_of_rejected() -> None:
    base = [{"chosen": -10.0, "rejected": -8.0}, {"chosen": -6.0, "rejected": -4.0}]
    policy = [{"chosen": -9.0, "rejected": -11.0}, {"chosen": -7.0, "rejected": -5.0}]
    assert policy_measures.summarize(base, policy, [0.1, 0.3]) == {
        "pairs": 2,
        "tokens": 2,
        "chosen": {"base": -8.0, "policy": -8.0, "change": 0.0},  # +1 and -1
        "rejected": {"base": -6.0, "policy": -8.0, "change": -2.0},  # -3 and -1
        "kl_per_token": 0.2,
        "margin": 2.0,
        "margins": [4.0, 0.0],
    }


def test_the_divergence_is_that_of_the_formula_at_each_token() -> None:
    import torch

    policy = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log()
    base = torch.tensor([[0.25, 0.75], [0.25, 0.75]]).log()
    first = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert policy_measures.divergence(policy, base) == pytest.approx([first, 0.0], abs=1e-6)


PAIRS = [{"pair_id": f"p{number}"} for number in range(100)]


@pytest.mark.parametrize(
    ("method", "steps", "pairs"),
    # A step reads two pairs. Training: 2 sides x 3 passes of each; measuring: 4 passes a pair.
    [("dpo", 16, 10), ("kto", 16, 10), ("sft", 50, 15), ("dpo", 1, 1), ("dpo", 5_000, 32)],
)
def test_measuring_costs_at_most_21_percent_of_the_training(
    method: str, steps: int, pairs: int
) -> None:
    params = train_params(
        method=method, per_device_train_batch_size=1, gradient_accumulation_steps=2
    )
    sample = policy_measures.sample_pairs(params, PAIRS, steps)
    assert len(sample) == pairs
    other_seed = params.model_copy(update={"seed": params.seed + 1})
    assert policy_measures.sample_pairs(other_seed, PAIRS[::-1], steps) == sample


def test_no_more_pairs_are_measured_than_there_are() -> None:
    assert len(policy_measures.sample_pairs(train_params(), PAIRS[:3], 5_000)) == 3


def test_too_little_memory_is_said_and_ends_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("40 GiB")

    monkeypatch.setattr(policy_measures, "_measure", fail)
    said: list[str] = []
    folders = (Path("base"), Path("policy"))
    result = policy_measures.measure(train_params(), folders, PAIRS[:2], said.append)
    assert result == {"policy_against_base": None}
    assert said == ["the policy is not compared with the base: OutOfMemoryError on cpu"]
