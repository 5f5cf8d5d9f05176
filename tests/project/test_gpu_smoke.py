"""bench/gpu_smoke.py: every check has a line, and what is wrong fails."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import gpu_smoke
from bench.gpu_checks.catalogue import CHECKS, GROUPS
from bench.gpu_checks.check import Bounds
from bench.gpu_checks.process import Group
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
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("impossible", "needs a GPU"),
        ("missing_package", "vllm_of_another_machine is not installed"),
    ],
)
def test_a_check_that_cannot_run_never_passes(function: str, reason: str, tmp_path: Path) -> None:
    code, (_, missed) = run_planted(function, tmp_path)
    assert (code, missed["pass"], missed["skipped"]) == (0, None, reason)


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
