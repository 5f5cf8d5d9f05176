"""Several processes of `accelerate launch` train as one process with an equal batch size."""

import io
import re
from pathlib import Path
from typing import Any

import pytest

from delta.core.console import Console
from delta.core.errors import InputError
from delta.training import launch
from delta.training.config import TrainParams
from delta.training.dataset import split_held_out
from tests.helpers.tiny_models import train_params
from tests.helpers.training_runs import (
    FAKE_GPUS,
    LORA,
    RULE,
    InterruptingConsole,
    read_history,
    read_numbers,
    six_pairs,
    stopping_early,
    train_model,
    two_epochs,
    with_reference,
)


def test_the_command_is_accelerate_launch_with_the_number_of_processes() -> None:
    command = launch.accelerate_command(8, ["folder", "a.tsv", "b.tsv"])
    assert command[1:] == [
        *("-m", "accelerate.commands.launch", "--multi_gpu"),
        *("--num_processes", "8", "--num_machines", "1", "--mixed_precision", "no"),
        *("--dynamo_backend", "no", "--main_process_port", "0"),
        *("--module", "delta.training.launch", "folder", "a.tsv", "b.tsv"),
    ]


def test_too_few_rows_for_a_step_of_all_processes_are_refused(tmp_path: Path) -> None:
    params = train_params(per_device_train_batch_size=4, num_processes=2)
    with pytest.raises(
        InputError, match=r"2 process.* take 8 pairs at once, there are only 6; expec"
    ):
        launch.prepare_run(tmp_path, params, tmp_path, [{}] * 6, [])


@pytest.mark.slow
def test_everything_that_shapes_a_run_changes_its_key() -> None:
    params = two_epochs()
    rows = with_reference(params, six_pairs())
    keys = [
        launch.run_key(params, rows, [], "f"),
        launch.run_key(params, rows[::-1], [], "f"),
        launch.run_key(params, rows[:4], rows[4:], "f"),
        launch.run_key(params, rows, [], "another base"),
        launch.run_key(two_epochs(num_processes=2), rows, [], "f"),
        launch.run_key(stopping_early(), rows, [], "f"),
        launch.run_key(two_epochs(num_processes=2, fsdp=True), rows, [], "f"),
    ]
    assert len(set(keys)) == len(keys)
    assert launch.run_key(two_epochs(), with_reference(params, six_pairs()), [], "f") == keys[0]


def almost_equal(first: Any, second: Any) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(bool(((a - b).abs() < 1e-3).all()) for a, b in pairs)


def one_and_two_processes(fsdp: bool, **changes: Any) -> tuple[TrainParams, TrainParams]:
    """Return the parameters of the same run with one process and with two."""
    return (
        train_params(**changes, per_device_train_batch_size=4),
        train_params(**changes, per_device_train_batch_size=2, num_processes=2, fsdp=fsdp),
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["kto", "sft"])
def test_two_processes_train_like_one_with_twice_the_batch_size(
    method: str, base: Path, tmp_path: Path
) -> None:
    epochs = {"num_train_epochs": 2}
    single, double = one_and_two_processes(fsdp=False, method=method, sft=epochs, kto=epochs)
    pairs = six_pairs() + six_pairs()[:2]
    expected, _ = train_model(single, with_reference(single, pairs), base, tmp_path / "one")
    policy, counts = train_model(double, with_reference(double, pairs), base, tmp_path / "two")
    assert counts["options"]["num_processes"] == 2
    histories = [read_numbers(tmp_path / name / "history.tsv") for name in ("one", "two")]
    assert len(histories[0]) == 4
    for a, b in zip(*histories, strict=True):
        assert a == pytest.approx(b, abs=1e-3)
    assert almost_equal(expected, policy)


@pytest.mark.slow
def test_an_interrupted_fsdp_run_resumes_and_ends_like_one_process(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAKE_GPUS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    changes = {
        "early_stopping": RULE | {"eval_steps": 4, "patience": 9},
        "lr_scheduler_type": "constant_with_warmup",
        "dpo": {"num_train_epochs": 5},
    }
    single, double = one_and_two_processes(fsdp=True, **changes)
    parts = split_held_out(single, six_pairs())
    train, held_out = (with_reference(single, part) for part in parts)
    expected, counts = train_model(single, train, base, tmp_path / "one", held_out)
    with pytest.raises(KeyboardInterrupt):
        train_model(double, train, base, tmp_path / "two", held_out, InterruptingConsole(3))
    output = io.StringIO()
    policy, resumed = train_model(double, train, base, tmp_path / "two", held_out, Console(output))
    assert re.search(r"resuming from checkpoint-[123]\n", output.getvalue())  # 3 may be unmarked
    assert resumed["options"]["fsdp"] is True
    for options in (resumed["options"], counts["options"]):
        assert options["trainable_parameters"] == 37_216
    for name in ("history.tsv", "held_out.tsv"):
        files = [read_numbers(tmp_path / folder / name) for folder in ("one", "two")]
        for a, b in zip(*files, strict=True):
            assert a == pytest.approx(b, abs=1e-3)
    assert resumed["chosen_step"] == counts["chosen_step"]
    assert almost_equal(expected, policy)


@pytest.mark.slow
def test_the_first_margin_of_an_fsdp_run_in_bfloat16_is_0(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from delta.inference.reply_cache import ReplyCache
    from delta.training.dataset import to_trl_columns
    from delta.training.reference_logps import add_reference

    (tmp_path / "sitecustomize.py").write_text(FAKE_GPUS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    _, double = one_and_two_processes(fsdp=True, bf16=True, gradient_checkpointing=True)
    rows = to_trl_columns(double, six_pairs()[:4])
    with ReplyCache(tmp_path / "cache") as cache:
        add_reference(double, rows, base, "f", cache, lambda items, _: iter(items))
    _, counts = train_model(double, rows, base, tmp_path)
    assert read_history(tmp_path / "history.tsv")[0]["rewards_margins"] == "0"
    assert counts["first_margin"] == {"mean": 0.0, "sd": 0.0, "rows": 4}


# Appended to FAKE_GPUS: counts what a process still has of the gradient of the whole model.
COUNT_GRADIENTS = """
    import transformers
    training_step = transformers.Trainer.training_step
    def count(self, model, *args, **kwargs):
        loss = training_step(self, model, *args, **kwargs)
        states = [m._get_fsdp_state() for m in model.modules() if hasattr(m, "_get_fsdp_state")]
        parameters = {p for s in states for g in s._fsdp_param_groups for p in g.fsdp_params}
        whole = [p.unsharded_accumulated_grad for p in parameters]
        whole += [p._unsharded_param.grad for p in parameters if hasattr(p, "_unsharded_param")]
        shards = [p.sharded_param.grad for p in parameters]
        shards = [grad.to_local() for grad in shards if grad is not None]
        with open(os.environ["DELTA_TEST_GRADIENTS"] + os.environ["RANK"], "a") as file:
            kept = [[grad for grad in part if grad is not None] for part in (whole, shards)]
            sizes = [sum(grad.nbytes for grad in part) for part in kept]
            print(sum(p._orig_size.numel() for p in parameters), *sizes, file=file)
        return loss
    transformers.Trainer.training_step = count
"""


@pytest.mark.slow
def test_no_process_keeps_the_gradient_of_the_whole_model_between_batches_of_a_step(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAKE_GPUS + COUNT_GRADIENTS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("DELTA_TEST_GRADIENTS", str(tmp_path / "bytes-"))
    params = train_params(
        num_processes=2, fsdp=True, gradient_accumulation_steps=2, per_device_train_batch_size=1
    )
    train_model(params, with_reference(params, six_pairs()[:4]), base, tmp_path)
    for rank in (0, 1):
        lines = (tmp_path / f"bytes-{rank}").read_text().splitlines()
        assert len(lines) == 2  # two batches, one step
        for line in lines:
            parameters, whole, shard = map(int, line.split())
            assert (parameters, whole) == (37_216, 0)
            assert shard == pytest.approx(37_216 * 4 / 2, rel=0.01)  # half of it, in fp32


@pytest.mark.slow
def test_an_error_in_a_process_is_reported_in_one_line(base: Path, tmp_path: Path) -> None:
    _, double = one_and_two_processes(fsdp=False, lora=LORA | {"target_modules": ["w_pack"]})
    with pytest.raises(InputError, match=r"train.lora.target_modules = \['w_pack'\]"):
        train_model(double, with_reference(double, six_pairs()), base, tmp_path)
