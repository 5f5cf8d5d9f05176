"""What training changed, and what is left of it in each dtype, on numbers that a person can check.

bfloat16 has 8 bits: above 1 it moves in steps of 1/128. float16 has 11: in steps of 1/1024.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from delta.training.weight_changes import compare

STEP = 1 / 128


def write(folder: Path, **weights: list[float]) -> Path:
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    tensors = {name: torch.tensor(values) for name, values in weights.items()}
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("new", "changed", "served"),
    [
        # A quarter of a step is rounded away, a whole one is served.
        ([1 + STEP / 4, 1.0], (0.5, 0.0, 0.5), (1.0, 0.0, 1.0)),
        ([1 + STEP, 1.0], (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
        # Three quarters of a step are served as a whole one: 1 / 0.75.
        ([1 + 3 / 4 * STEP, 1.0], (0.5, 0.5, 0.5), (1.0, 1.3333, 1.0)),
        # A quarter and a whole step: <u_served, u> / <u, u> = 1 / (1 + 1/16).
        ([1 + STEP / 4, 1 - STEP], (1.0, 0.5, 1.0), (1.0, 0.9412, 1.0)),
        # 1/4096 is a quarter of a step of float16.
        ([1 + 1 / 4096, 1.0], (0.5, 0.0, 0.0), (1.0, 0.0, 0.0)),
        ([1.0, 1.0], (0.0, 0.0, 0.0), (None, None, None)),
        # 100,000 is more than float16 can be: nothing is said of it.
        ([1.0, 100_000.0], (0.5, 0.5, 0.5), (1.0, pytest.approx(1.0, abs=0.01), None)),
    ],
)
def test_the_served_update_is_the_difference_of_two_rounded_models(
    new: list[float], changed: tuple[float, ...], served: Any, tmp_path: Path
) -> None:
    base = write(tmp_path / "base", a=[1.0, 1.0])
    policy = write(tmp_path / "policy", a=new)
    dtypes = ("float32", "bfloat16", "float16")
    assert compare(base, policy) == {
        "weights_changed": dict(zip(dtypes, changed, strict=True)),
        "update_served": dict(zip(dtypes, served, strict=True)),
    }


def test_all_tensors_count_and_a_tied_weight_counts_once(tmp_path: Path) -> None:
    base = write(tmp_path / "base", a=[1.0], b=[1.0, 1.0, 1.0], tied=[1.0])
    policy = write(tmp_path / "policy", a=[1 + STEP / 4], b=[1.0, 1 + STEP, 1.0])
    changes = compare(base, policy)
    assert changes["weights_changed"]["float32"] == 0.5
    assert changes["update_served"]["bfloat16"] == 0.9412


def test_shards_are_read_by_their_index(tmp_path: Path) -> None:
    base = write(tmp_path / "base", a=[1.0], b=[1.0])
    policy = write(tmp_path / "policy", a=[1 + STEP])
    (policy / "model.safetensors").rename(policy / "one.safetensors")
    write(tmp_path / "other", b=[1.0])
    (tmp_path / "other/model.safetensors").rename(policy / "two.safetensors")
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (policy / "model.safetensors.index.json").write_text(json.dumps(index))
    assert compare(base, policy)["weights_changed"]["bfloat16"] == 0.5


@pytest.mark.parametrize("weights", [{"other": [1.0]}, {"a": [1.0, 1.0]}])
def test_files_of_other_names_or_shapes_give_no_number(
    weights: dict[str, list[float]], tmp_path: Path
) -> None:
    base, policy = write(tmp_path / "base", a=[1.0]), write(tmp_path / "policy", **weights)
    assert compare(base, policy) == {"weights_changed": None, "update_served": None}
