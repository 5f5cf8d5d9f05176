"""The margin before the first update: 0 for the policy's own reference, and what else it was."""

import io
from pathlib import Path
from typing import Any

import pytest

from delta.core.console import Console
from delta.training import first_margin
from tests.helpers.tiny_models import train_params
from tests.helpers.training_runs import (
    InterruptingConsole,
    plain_log_prob,
    six_pairs,
    train_model,
    two_epochs,
    with_reference,
)


def test_mean_and_sd_of_pairs_are_of_chosen_minus_rejected() -> None:
    ratios = [(1.0, 0.0), (2.0, -1.0), (5.0, 0.0)]  # margins 1, 3, 5
    assert first_margin.summarize("dpo", ratios) == {"mean": 3.0, "sd": 2.0, "rows": 3}


def test_one_pair_has_no_spread() -> None:
    assert first_margin.summarize("dpo", [(1.0, 0.5)]) == {"mean": 0.5, "sd": None, "rows": 1}


def test_the_sides_of_kto_are_compared_by_their_means() -> None:
    ratios = [(1.0, 1.0), (3.0, 1.0), (0.0, 0.0), (2.0, 0.0)]  # means 2 and 1, variances 2 and 2
    assert first_margin.summarize("kto", ratios) == {"mean": 1.0, "sd": 2.0, "rows": 4}
    one_side = {"mean": None, "sd": None, "rows": 2}
    assert first_margin.summarize("kto", ratios[:2]) == one_side


@pytest.mark.parametrize(("sd", "warns"), [(0.19, False), (0.21, True), (None, False)])
def test_a_spread_above_a_tenth_of_the_margin_reached_is_warned_of(
    sd: float | None, warns: bool
) -> None:
    params = train_params(dpo={"beta": 0.5})
    counts = {"last_margin": 1.0, "first_margin": {"mean": 0.0, "sd": sd, "rows": 8}}
    text = first_margin.warning(params, counts)
    assert bool(text) is warns
    if warns:  # 1.0 is beta times 2 nats
        assert "0.21 nats, and the margin that training reached is 2;" in text


def expected_margins(base: Path, rows: Any) -> list[float]:
    from delta.training import model_io

    model = model_io.load(base, "float32")
    return [
        plain_log_prob(model, row["prompt_ids"], row["chosen_ids"])
        - row["ref_chosen_logps"]
        - plain_log_prob(model, row["prompt_ids"], row["rejected_ids"])
        + row["ref_rejected_logps"]
        for row in rows
    ]


@pytest.mark.slow
def test_a_run_measures_the_batches_of_its_first_step_and_a_resume_keeps_them(
    base: Path, tmp_path: Path
) -> None:
    params = two_epochs(per_device_train_batch_size=2, gradient_accumulation_steps=3)
    rows = with_reference(params, six_pairs())  # all six in the first step
    output = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        train_model(params, rows, base, tmp_path, console=InterruptingConsole(1))
    _, counts = train_model(params, rows, base, tmp_path, console=Console(output))
    ratios = [(margin, 0.0) for margin in expected_margins(base, rows)]
    expected = first_margin.summarize("dpo", ratios)
    assert counts["first_margin"] == pytest.approx(expected, abs=1e-4)
    assert counts["first_margin"]["rows"] == 6
    assert "resuming" in output.getvalue()


@pytest.mark.slow
def test_kto_measures_its_completions_and_not_the_mismatched_ones(
    base: Path, tmp_path: Path
) -> None:
    from delta.training import model_io

    params = train_params(method="kto", per_device_train_batch_size=6)
    rows = with_reference(params, six_pairs())
    model = model_io.load(base, "float32")
    ratios = [
        (
            plain_log_prob(model, row["prompt_ids"], row["completion_ids"]) - row["ref_logps"],
            float(row["label"]),
        )
        for row in rows
    ]
    _, counts = train_model(params, rows, base, tmp_path)
    expected = first_margin.summarize("kto", ratios)
    assert counts["first_margin"] == pytest.approx(expected, abs=1e-4)
