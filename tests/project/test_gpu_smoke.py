"""bench/gpu_smoke.py: every check has a line, and what is wrong fails."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import gpu_smoke
from bench.gpu_checks.catalogue import CHECKS, GROUPS
from bench.gpu_checks.check import Bounds
from bench.gpu_checks.process import Group, GroupEnd
from delta.core.errors import InputError
from delta.plan.machine import FoundGpu
from tests.helpers.import_closure import ROOT

PLANTED = "tests.helpers.planted_checks"
DISK = ("disk_write", "disk_read")
# What a machine without a GPU cannot check, and why.
SKIPPED_ON_CPU = {
    "driver": "needs a GPU",
    "triton_compiles": "needs a GPU",
    "reference_pass_gpu_left": "needs a GPU",
    "matmul_share_of_peak": "its data sheet is not known here",
    "reading_share_of_peak": "its data sheet is not known here",
    "step_memory_against_plan": "PyTorch counts no bytes of a CPU",
}
WITHOUT_PACKAGES = """
from importlib.machinery import PathFinder

class Without:
    find_in_folders = PathFinder.find_spec

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name in ("torch", "trl", "peft", "vllm")
        return None if absent else cls.find_in_folders(name, path, target)

PathFinder.find_spec = Without.find_spec
"""
EXAMPLE = ROOT / "bench" / "gpu_checks" / "cpu-tiny.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def assert_a_good_run_on_a_cpu(lines: list[dict[str, Any]]) -> None:
    assert [line["check"] for line in lines] == [
        name for group in GROUPS.values() for name in group.checks
    ]
    for line in lines:
        check = line["check"]
        assert line["tiny"] is True
        assert "error" not in line
        if check in SKIPPED_ON_CPU:
            assert (line["value"], line["pass"]) == (None, None)
            assert line["skipped"] == SKIPPED_ON_CPU[check]
        else:
            assert line["pass"] is True, line
            assert isinstance(line["value"], float | int)
        assert {"unit", "expectation", "seconds", "what", "machine"} <= line.keys()


def test_each_check_is_in_one_group() -> None:
    names = [name for group in GROUPS.values() for name in group.checks]
    assert sorted(names) == sorted(CHECKS)


def test_both_bounds_and_finiteness_decide() -> None:
    bounds = Bounds(low=0.4, high=1)
    assert str(bounds) == "at least 0.4, at most 1"
    assert [bounds.hold(value) for value in (0.39, 0.4, 1, 1.01, float("nan"))] == [
        *(False, True, True, False, False)
    ]
    assert not Bounds(high=30).hold(float("-inf"))


def test_the_example_is_a_good_run_on_a_cpu() -> None:
    assert_a_good_run_on_a_cpu(read(EXAMPLE))


@pytest.fixture(autouse=True)
def _no_preloading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_smoke, "PRELOADED", [])


def run_planted(
    function: str, folder: Path, checks: tuple[str, ...] = DISK, limit_s: float = 60
) -> tuple[int, list[dict[str, Any]]]:
    """Run one planted group in tiny sizes; return the exit code and the lines."""
    group = Group(f"{PLANTED}:{function}", checks, limit_s)
    code = gpu_smoke.run([group], tiny=True, out=folder / "lines.jsonl")
    return code, read(folder / "lines.jsonl")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("error", "RuntimeError: CUDA error: an illegal memory access was encountered"),
        ("dead_process", "its process ended with exit code 7; see "),
        ("forgotten", "it measured no such check"),
        ("missing_package", "ModuleNotFoundError: No module named 'trl_of_another_machine'"),
    ],
)
def test_a_check_that_is_not_reached_fails(function: str, error: str, tmp_path: Path) -> None:
    code, (reached, missed) = run_planted(function, tmp_path)
    assert code == 1
    assert reached["pass"] is True
    assert (missed["check"], missed["value"], missed["pass"]) == ("disk_read", None, False)
    assert missed["error"].startswith(error)


@pytest.mark.slow
def test_a_check_without_an_end_fails_at_its_limit(tmp_path: Path) -> None:
    code, (_, missed) = run_planted("endless", tmp_path, limit_s=15)
    assert (code, missed["error"]) == (1, "ran longer than 15 s")


@pytest.mark.slow
def test_a_value_out_of_bounds_fails_and_so_does_one_that_is_no_number(tmp_path: Path) -> None:
    code, lines = run_planted("slow_disk", tmp_path)
    assert (code, [line["pass"] for line in lines]) == (1, [False, False])
    assert [line["value"] for line in lines] == [0.0, None]


@pytest.mark.slow
def test_a_check_that_cannot_run_never_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, (_, missed) = run_planted("impossible", tmp_path)
    assert (code, missed["pass"], missed["skipped"]) == (0, None, "needs a GPU")
    assert "bench.gpu_smoke: 0 failed, 1 passed, 1 skipped; log: " in capsys.readouterr().err


@pytest.mark.slow
def test_only_the_checks_of_vllm_are_skipped_where_packages_are_missing(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_PACKAGES)
    out = tmp_path / "lines.jsonl"
    command = [sys.executable, "-m", "bench.gpu_smoke", "--tiny", "--out", str(out)]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    process = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=False
    )
    assert process.returncode == 1
    lines = {line["check"]: line for line in read(out)}
    for name, group in GROUPS.items():
        for line in (lines[check] for check in group.checks):
            if "serving" in group.function:
                assert line["skipped"] == "vllm is not installed"
            elif name not in ("machine", "disk"):  # they need none of the packages on a CPU
                assert line["pass"] is False
                assert line["error"].startswith("ModuleNotFoundError: No module named ")


def test_the_limit_of_a_group_is_cut_by_the_time_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Groups that all hang end after ten minutes, not after the sum of their limits."""
    now, limits = 0.0, []

    def hang(_: Group, __: Any, limit_s: float, ___: Path) -> Iterator[GroupEnd]:
        nonlocal now
        limits.append(limit_s)
        now += max(limit_s, 0.0)
        yield GroupEnd("it hangs")

    monkeypatch.setattr(gpu_smoke, "run_group", hang)
    monkeypatch.setattr("bench.gpu_smoke.time.monotonic", lambda: now)
    assert gpu_smoke.run(list(GROUPS.values()), tiny=True, out=tmp_path / "lines") == 1
    assert now == sum(limits) == gpu_smoke.LIMIT_S
    assert len(read(tmp_path / "lines")) == len(CHECKS)


@pytest.mark.slow
def test_padded_batches_fail_both_checks_of_attention(tmp_path: Path) -> None:
    checks = GROUPS["attention"].checks
    code, lines = run_planted("padded_batches", tmp_path, checks, limit_s=300)
    assert (code, [line["pass"] for line in lines]) == (1, [False, False])
    assert lines[0]["value"] == 0
    assert lines[1]["value"] > 1.1  # 1 is linear in the length, 2 quadratic


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_check_passes_in_tiny_sizes_or_says_why_it_cannot_run(tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    command = [sys.executable, "-m", "bench.gpu_smoke", "--tiny", "--out", str(out)]
    process = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert process.stdout == out.read_text(encoding="utf-8")
    assert_a_good_run_on_a_cpu(read(out))
    assert process.returncode == 0


def test_the_machine_is_the_first_gpu_that_a_process_sees_or_its_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpus = [FoundGpu(n, f"GPU-{n}", f"H{n}00", "580.65.06", 80.0, 0.0) for n in "12"]
    monkeypatch.setattr("delta.plan.machine.read_gpus", lambda: gpus)
    assert gpu_smoke.machine() == ("cuda", "H100")
    monkeypatch.setattr("delta.plan.machine.read_gpus", list)
    assert gpu_smoke.machine().device == "cpu"

    def refuse() -> list[FoundGpu]:
        raise InputError("nvidia-smi is not on PATH")

    monkeypatch.setattr("delta.plan.machine.read_gpus", refuse)
    assert gpu_smoke.machine().device == "cpu"


def test_full_sizes_are_refused_without_a_gpu(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(gpu_smoke, "machine", lambda: gpu_smoke.Machine("cpu", "two cores"))
    assert gpu_smoke.run([], tiny=False, out=tmp_path / "lines") == 2
