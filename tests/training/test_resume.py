"""An interrupted run ends like an uninterrupted one; early stopping keeps the best checkpoint."""

import io
import multiprocessing
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from delta.core.console import Console
from delta.training.config import TrainParams
from delta.training.dataset import split_held_out
from tests.helpers.tiny_models import train_params
from tests.helpers.training_runs import (
    BETA,
    LORA,
    RULE,
    InterruptingConsole,
    dpo_loss,
    have_equal_weights,
    read_history,
    six_pairs,
    steps_in,
    stopping_early,
    train_model,
    two_epochs,
    with_reference,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("method", ["dpo", "kto", "sft"])
def test_an_interrupted_run_resumes_at_its_checkpoint_and_ends_the_same(
    method: str, lora: Any, base: Path, tmp_path: Path
) -> None:
    params = train_params(method=method, lora=lora, **{method: {"num_train_epochs": 2}})
    rows = with_reference(params, six_pairs())
    uninterrupted, _ = train_model(params, rows, base, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_model(params, rows, base, tmp_path / "cut", console=InterruptingConsole(3))
    output = io.StringIO()
    resumed, counts = train_model(params, rows, base, tmp_path / "cut", console=Console(output))
    assert "checkpoint-3" in output.getvalue()
    assert counts["steps"] == counts["chosen_step"] == 6
    assert read_history(tmp_path / "cut/history.tsv") == read_history(
        tmp_path / "whole/history.tsv"
    )
    assert have_equal_weights(uninterrupted, resumed)


def test_a_run_killed_again_and_again_ends_the_same(base: Path, tmp_path: Path) -> None:
    params = two_epochs(dpo={"num_train_epochs": 10})
    rows = with_reference(params, six_pairs())
    whole, counts = train_model(params, rows, base, tmp_path / "whole")
    spawn = multiprocessing.get_context("spawn")
    for step in (2, 9, 21):
        process = spawn.Process(target=train_model, args=(params, rows, base, tmp_path / "cut"))
        process.start()
        while process.is_alive() and not any(
            int(mark.parent.name.partition("-")[2]) >= step
            for mark in (tmp_path / "cut/run/checkpoints").glob("*/COMPLETE")
        ):
            process.join(0.01)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    output = io.StringIO()
    resumed, resumed_counts = train_model(
        params, rows, base, tmp_path / "cut", console=Console(output)
    )
    assert re.search(r"resuming from checkpoint-(2[1-9]|30)\n", output.getvalue())
    assert resumed_counts == counts
    assert have_equal_weights(whole, resumed)


def converging(**changes: Any) -> tuple[TrainParams, Any, Any]:
    """Return params, rows and held-out rows, the swapped pairs, whose loss rises from the start."""
    params = stopping_early(dpo={"num_train_epochs": 20}, logging_steps=3, **changes)
    train, held_out = split_held_out(params, six_pairs())
    assert (len(train), len(held_out)) == (4, 2)
    swapped = [
        pair | {"chosen_ids": pair["rejected_ids"], "rejected_ids": pair["chosen_ids"]}
        for pair in train
    ]
    return params, with_reference(params, train), with_reference(params, swapped)


def test_training_stops_when_converged_and_keeps_the_best_checkpoint(
    base: Path, tmp_path: Path
) -> None:
    params, rows, held_out = converging()
    chosen, counts = train_model(params, rows, base, tmp_path / "a", held_out)
    curve = read_history(tmp_path / "a/held_out.tsv")
    assert [row["step"] for row in curve] == ["0", "2", "4"]
    losses = [float(row["loss"]) for row in curve]
    assert losses == sorted(losses)
    # The base is better, but it is no trained model.
    assert (counts["chosen_step"], counts["converged_at"], counts["steps"]) == (2, 4, 4)
    assert counts["max_steps"] == 40
    assert counts["held_out_loss"] == pytest.approx(losses[1], abs=1e-4)
    assert steps_in(tmp_path / "a/run/checkpoints") == [2, 4]

    # Two steps without early stopping, under the same learning rate schedule.
    plain = params.model_copy(update={"early_stopping": None, "logging_steps": 1})
    with pytest.raises(KeyboardInterrupt):
        train_model(plain, rows, base, tmp_path / "b", console=InterruptingConsole(2))
    from delta.training import model_io

    two_steps = model_io.load_checkpoint(params, base, tmp_path / "b/run/checkpoints/checkpoint-2")
    assert have_equal_weights(chosen, two_steps)


@pytest.mark.parametrize("save_minutes", [0, 60])
@pytest.mark.parametrize("interrupted_after", [1, 2, 3])
def test_an_interrupted_run_converges_at_the_same_step_to_the_same_policy(
    interrupted_after: int, save_minutes: float, base: Path, tmp_path: Path
) -> None:
    params, rows, held_out = converging(save_minutes=save_minutes)
    uninterrupted, counts = train_model(params, rows, base, tmp_path / "whole", held_out)
    with pytest.raises(KeyboardInterrupt):
        train_model(
            params, rows, base, tmp_path / "cut", held_out, InterruptingConsole(interrupted_after)
        )
    resumed, resumed_counts = train_model(params, rows, base, tmp_path / "cut", held_out)
    assert resumed_counts == counts
    assert have_equal_weights(uninterrupted, resumed)
    for name in ("history.tsv", "held_out.tsv"):
        assert read_history(tmp_path / "cut" / name) == read_history(tmp_path / "whole" / name)


def test_a_converged_run_is_not_trained_further(base: Path, tmp_path: Path) -> None:
    params, rows, held_out = converging()
    uninterrupted, counts = train_model(params, rows, base, tmp_path, held_out)
    (tmp_path / "history.tsv").unlink()  # DVC deletes outputs before it runs a stage
    resumed, resumed_counts = train_model(
        params, rows, base, tmp_path, held_out, InterruptingConsole(0)
    )
    assert resumed_counts == counts
    assert have_equal_weights(uninterrupted, resumed)
    assert read_history(tmp_path / "history.tsv")


def test_a_run_without_convergence_keeps_the_lowest_held_out_loss(
    base: Path, tmp_path: Path
) -> None:
    rule = RULE | {"eval_steps": 3, "patience": 5}
    params = stopping_early(early_stopping=rule, dpo={"num_train_epochs": 4})
    train, held_out = (with_reference(params, part) for part in split_held_out(params, six_pairs()))
    _, counts = train_model(params, train, base, tmp_path, held_out)
    curve = [(int(r["step"]), float(r["loss"])) for r in read_history(tmp_path / "held_out.tsv")]
    assert [step for step, _ in curve] == [0, 3, 6, 8]  # the last step is evaluated as well
    assert counts["converged_at"] is None
    assert counts["chosen_step"] == min(curve[1:], key=lambda point: point[1])[0]


def test_the_held_out_loss_is_the_loss_of_the_held_out_pairs(base: Path, tmp_path: Path) -> None:
    params = stopping_early(early_stopping=RULE | {"eval_steps": 1}, dpo={"learning_rate": 1e-12})
    train, held_out = (with_reference(params, part) for part in split_held_out(params, six_pairs()))
    train_model(params, train, base, tmp_path, held_out)
    from delta.training import model_io

    expected = dpo_loss(model_io.load(base, "float32"), held_out, BETA)
    assert float(read_history(tmp_path / "held_out.tsv")[0]["loss"]) == pytest.approx(
        expected, abs=1e-4
    )


def test_sft_is_not_stopped_and_keeps_its_last_weights_and_its_curve(
    base: Path, tmp_path: Path
) -> None:
    params = stopping_early(method="sft", sft={"num_train_epochs": 3, "learning_rate": 0.5})
    train, held_out = (with_reference(params, part) for part in split_held_out(params, six_pairs()))
    _, counts = train_model(params, train, base, tmp_path, held_out)
    curve = [(int(r["step"]), float(r["loss"])) for r in read_history(tmp_path / "held_out.tsv")]
    assert [step for step, _ in curve] == [0, 2, 4, 6]
    assert min(curve, key=lambda point: point[1])[0] < 6  # early stopping would take another
    assert (counts["converged_at"], counts["chosen_step"], counts["max_steps"]) == (None, 6, 6)
    assert counts["held_out_loss"] == pytest.approx(curve[-1][1], abs=1e-4)
    assert "first_margin" not in counts


def test_the_end_of_the_warm_up_is_evaluated(base: Path, tmp_path: Path) -> None:
    params = stopping_early(early_stopping=RULE | {"eval_steps": 4}, warmup_steps=3)
    train, held_out = (with_reference(params, part) for part in split_held_out(params, six_pairs()))
    train_model(params, train, base, tmp_path, held_out)
    assert [row["step"] for row in read_history(tmp_path / "held_out.tsv")] == ["0", "3", "4"]


def test_a_checkpoint_is_due_by_the_clock_and_waits_for_the_next_log(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from delta.training import callback, checkpoints

    seconds = iter(range(0, 10_000, 40))  # each look at the clock is 40 seconds later
    monkeypatch.setattr(callback, "monotonic", lambda: next(seconds))
    saved = []

    def record(_: Any, step: int, resumable: bool) -> None:
        saved.append((step, resumable))

    monkeypatch.setattr(checkpoints.BackgroundMarker, "mark", record)
    params = two_epochs(dpo={"num_train_epochs": 7}, logging_steps=2, save_minutes=1.2)
    train_model(params, with_reference(params, six_pairs()), base, tmp_path)
    # Logs at 2, 4, ...: after 40 s it is too early, after 80 s due. The end has weights only.
    assert saved == [(step, True) for step in (4, 8, 12, 16, 20)] + [(21, False)]


@pytest.mark.parametrize(("first", "own", "is_due"), [(59, 61, False), (61, 59, True)])
def test_the_clock_of_the_first_process_decides_for_all(
    first: float, own: float, is_due: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from delta.training import callback

    seconds = iter([0, own, own])
    monkeypatch.setattr(callback, "monotonic", lambda: next(seconds))
    monkeypatch.setattr(callback, "broadcast", lambda _: torch.tensor(float(first)))
    params = two_epochs(save_minutes=1)
    other = callback.TrainingCallback(params, tmp_path, lambda *_: None, lambda _: None)
    assert other._is_due() is is_due


def test_weights_that_only_early_stopping_needs_have_no_optimizer(
    base: Path, tmp_path: Path
) -> None:
    params, rows, held_out = converging(save_minutes=60)
    train_model(params, rows, base, tmp_path, held_out)
    folder = tmp_path / "run/checkpoints"
    assert steps_in(folder) == [2, 4]
    assert not list(folder.glob("*/optimizer.pt"))
    assert len(list(folder.glob("*/model.safetensors"))) == 2
