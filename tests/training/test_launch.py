"""Several processes: `accelerate launch` on CPUs, as one process with as many rows a step."""

import io
from pathlib import Path
from typing import Any

import pytest

from delta.core.console import Console
from delta.core.errors import InputError
from delta.training import launch
from delta.training.config import TrainParams
from delta.training.dataset import split_held_out
from tests.helpers.tiny_models import train_params, write_model
from tests.training.test_trainer import (
    LORA,
    RULE,
    Interrupted,
    history,
    run,
    screen,
    some_pairs,
    with_reference,
)

# Accelerate shards only on accelerators. This, in a file that Python reads when it starts, lets it
# take two processes on CPUs for such; what they do then is PyTorch's own FSDP2 over gloo.
STAND_IN = """
import os
if "RANK" in os.environ:
    from accelerate import state
    plain = state.PartialState.__init__
    def init(self, *args, **kwargs):
        plain(self, *args, **kwargs)
        if self.distributed_type == state.DistributedType.MULTI_CPU:
            self.distributed_type = state.DistributedType.MULTI_GPU
    state.PartialState.__init__ = init
"""


def test_the_command_is_accelerate_launch_with_as_many_processes() -> None:
    command = launch.command(8, ["folder", "a.tsv", "b.tsv"])
    assert command[1:] == [
        *("-m", "accelerate.commands.launch", "--multi_gpu"),
        *("--num_processes", "8", "--num_machines", "1", "--mixed_precision", "no"),
        *("--dynamo_backend", "no", "--main_process_port", "0"),
        *("--module", "delta.training.launch", "folder", "a.tsv", "b.tsv"),
    ]


def test_rows_that_do_not_fill_a_step_of_all_processes_are_refused(tmp_path: Path) -> None:
    params = train_params(batch_size=4, launch={"processes": 2})
    with pytest.raises(
        InputError, match=r"2 process.* take 8 rows at once, there are only 6; allow"
    ):
        launch.prepare(tmp_path, params, tmp_path, [{}] * 6, [])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    write_model(folder)
    return folder


def numbers(path: Path) -> list[list[float]]:
    return [[float(value or 0) for value in row.values()] for row in history(path)]


def close(one: Any, other: Any) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(bool(((a - b).abs() < 1e-3).all()) for a, b in pairs)


def two(sharding: str, **changes: Any) -> tuple[TrainParams, TrainParams]:
    """The same run by one process and by two."""
    launched = {"processes": 2, "sharding": sharding}
    return (
        train_params(**changes, batch_size=4),
        train_params(**changes, batch_size=2, launch=launched),
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["kto", "sft"])
def test_two_processes_train_as_one_with_twice_the_batch(
    method: str, base: Path, tmp_path: Path
) -> None:
    one, both = two("none", method=method, sft={"epochs": 2})
    pairs = some_pairs() + some_pairs()[:2]
    expected, _ = run(one, with_reference(one, pairs), base, tmp_path / "one", screen())
    found, facts = run(both, with_reference(both, pairs), base, tmp_path / "two", screen())
    assert facts["options"]["processes"] == 2
    histories = [numbers(tmp_path / name / "history.tsv") for name in ("one", "two")]
    assert len(histories[0]) == 4
    for a, b in zip(*histories, strict=True):
        assert a == pytest.approx(b, abs=1e-3)
    assert close(expected, found)


@pytest.mark.slow
def test_two_sharded_processes_stop_go_on_converge_and_end_as_one(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    rule = {"convergence": RULE | {"every": 4, "patience": 9}, "dpo": {"epochs": 5}}
    one, both = two("fsdp2", **rule)
    parts = split_held_out(one, some_pairs())
    train, held = (with_reference(one, part) for part in parts)
    expected, facts = run(one, train, base, tmp_path / "one", screen(), held)
    with pytest.raises(KeyboardInterrupt):
        run(both, train, base, tmp_path / "two", Interrupted(3), held)
    said = io.StringIO()
    found, after = run(both, train, base, tmp_path / "two", Console(said), held)
    assert "going on from checkpoint-2" in said.getvalue()
    assert after["options"]["sharding"] == "fsdp2"
    assert after["options"]["trainable"] == facts["options"]["trainable"] == 37_216
    for name in ("history.tsv", "held_out.tsv"):
        files = [numbers(tmp_path / folder / name) for folder in ("one", "two")]
        for a, b in zip(*files, strict=True):
            assert a == pytest.approx(b, abs=1e-3)
    assert after["chosen_step"] == facts["chosen_step"]
    assert close(expected, found)


@pytest.mark.slow
def test_the_first_margin_of_a_sharded_run_in_bfloat16_is_nought(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from delta.inference.reply_cache import ReplyCache
    from delta.training.dataset import to_trl_columns
    from delta.training.reference_logps import add_reference

    (tmp_path / "sitecustomize.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    _, both = two("fsdp2", compute="bfloat16", gradient_checkpointing=True)
    rows = to_trl_columns(both, some_pairs()[:4])
    with ReplyCache(tmp_path / "shelf") as shelf:
        add_reference(both, rows, base, "f", shelf, lambda items, _: iter(items))
    run(both, rows, base, tmp_path, screen())
    assert history(tmp_path / "history.tsv")[0]["rewards_margins"] == "0"


@pytest.mark.slow
def test_what_is_wrong_in_a_process_is_said_in_one_line(base: Path, tmp_path: Path) -> None:
    _, both = two("none", lora=LORA | {"target": ["w_pack"]})
    with pytest.raises(InputError, match=r"train.lora.target = \['w_pack'\]"):
        run(both, with_reference(both, some_pairs()), base, tmp_path, screen())
