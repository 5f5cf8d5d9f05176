"""What a run on GPUs needs of its machine, with a remedy each. nvidia-smi is a fake on PATH."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from delta.check import Params
from delta.cli import plan as plan_command
from delta.cli import repro
from delta.core.errors import InputError
from delta.core.params import read_all, validate
from delta.plan import machine, obstacles
from delta.plan.availability import Availability, ExternalSource
from delta.plan.dvc_state import Stage
from delta.plan.machine import Check, Requirements
from delta.plan.model_sizes import Size, sizes
from delta.plan.plan import GpuNode
from delta.plan.speeds import GPUS, gpu_named
from tests.helpers.import_closure import ROOT

EIGHT_B = Size(8.03e9, 8.03e9, 16e9, 16e9, 131_072)
H100 = (
    "0, GPU-1a2b3c4d-0000-0000-0000-000000000000, NVIDIA H100 80GB HBM3, "
    "580.65.06, 81559, 4, 9.0, Disabled\n"
)
H200 = (
    "1, GPU-5e6f7a8b-0000-0000-0000-000000000000, NVIDIA H200, "
    "580.65.06, 143771, 4, 9.0, Disabled\n"
)
ALL = Requirements(processes=8, tensor_parallel_size=4, base=EIGHT_B)
SUPER = "NVIDIA GeForce RTX 4080 SUPER"
ONE = Requirements(1, 1, EIGHT_B, gpu_share=0.9, gpu_gib=20, bfloat16=True)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder on PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in ("CC", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return folder


def install(folder: Path, name: str, text: str = "", code: int = 0) -> None:
    """Write a program that prints `text`."""
    (folder / f"{name}.txt").write_text(text)
    lines = f'while read -r line; do echo "$line"; done < {folder}/{name}.txt\nexit {code}\n'
    (folder / name).write_text(f"#!/bin/sh\n{lines}")
    (folder / name).chmod(0o755)


def eight(name: str = "NVIDIA H100 80GB HBM3", driver: str = "580.65.06", used: int = 4) -> str:
    rows = [f"{n}, GPU-{n}, {name}, {driver}, 81559, {used}, 9.0, Disabled" for n in range(8)]
    return "\n".join(rows) + "\n"


def lines(wanted: Requirements) -> list[str]:
    return [str(check) for check in machine.check_gpus(wanted)]


def test_the_answer_of_nvidia_smi_is_read() -> None:
    first, second = machine.parse_gpus(H100 + H200)
    assert (first.number, first.name, first.driver) == ("0", "NVIDIA H100 80GB HBM3", "580.65.06")
    assert (round(first.gib or 0, 1), second.gib) == (79.6, 143771 / 1024)
    (spark,) = machine.parse_gpus(
        "0, GPU-9, NVIDIA GB10, 580.95.05, [N/A], [N/A], 12.1, Disabled\n"
    )
    assert (spark.gib, spark.used_gib) == (None, None)
    with pytest.raises(InputError, match=r"nvidia-smi: 'No devices were found'; expected index, u"):
        machine.parse_gpus("No devices were found\n")


@pytest.mark.parametrize(
    ("variable", "numbers"),
    [
        (None, ["0", "1"]),
        ("", []),
        ("1", ["1"]),
        ("1,0", ["1", "0"]),
        ("GPU-5e6f", ["1"]),
        ("0,9,1", ["0"]),  # CUDA stops at the first that is not there
        ("0,0", []),  # PyTorch says the same of a list that repeats one
        ("1,GPU-5e6f", []),
        ("-1", []),
    ],
)
def test_cuda_visible_devices_is_read_as_cuda_does(
    variable: str | None, numbers: list[str]
) -> None:
    found = machine.visible(machine.parse_gpus(H100 + H200), variable)
    assert [gpu.number for gpu in found] == numbers


def test_without_nvidia_smi_there_is_no_gpu(programs: Path) -> None:
    (line,) = lines(ALL)
    assert line == (
        "GPU: nvidia-smi is not on PATH; expected a GPU of NVIDIA and its driver, 580 or newer; "
        "install NVIDIA's driver, or start the container with --gpus all; without a GPU "
        "take a profile for CPUs, such as params.yaml as it is in Git"
    )
    install(
        programs, "nvidia-smi", "NVIDIA-SMI has failed because it couldn't communicate\n", code=9
    )
    assert lines(ALL)[0].startswith("GPU: nvidia-smi: NVIDIA-SMI has failed because it couldn't")


def test_enough_gpus_are_named(programs: Path) -> None:
    install(programs, "nvidia-smi", eight())
    assert lines(ALL) == ["GPUs: 8 × NVIDIA H100 80GB HBM3", "driver: 580.65.06"]


def test_too_few_gpus_are_refused_by_the_key_that_asks_for_them(programs: Path) -> None:
    install(programs, "nvidia-smi", H100)
    assert lines(ALL)[0] == (
        "GPUs: 1 × NVIDIA H100 80GB HBM3; expected 8 (train.num_processes); lower "
        "train.num_processes"
    )
    assert "expected 4 (tensor_parallel_size of a model)" in lines(ALL._replace(processes=0))[0]


def test_one_process_that_sees_several_gpus_is_refused(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(programs, "nvidia-smi", eight())
    assert lines(ONE)[0] == (
        "GPUs: 8 × NVIDIA H100 80GB HBM3; expected one, as TRL refuses a process that sees several "
        "(train.num_processes: 1); `export CUDA_VISIBLE_DEVICES=0`, or set train.num_processes: 8 "
        "and train.fsdp: true"
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert lines(ONE)[0] == "GPUs: 1 × NVIDIA H100 80GB HBM3"


def test_an_old_driver_and_a_used_gpu_are_refused(programs: Path) -> None:
    install(programs, "nvidia-smi", eight(driver="570.124.06"))
    assert lines(ALL)[1] == (
        "driver: 570.124.06; expected 580 or newer, for CUDA 13; update NVIDIA's driver on the host"
    )
    install(programs, "nvidia-smi", H100.replace(" 4, 9", " 40960, 9"))
    assert lines(ONE)[2] == (
        "GPU 0: 40.0 GiB in use; expected at most 8.0, which the run leaves of 79.6; end the "
        "processes that `nvidia-smi -i 0` names, or lower engine.vllm.gpu_memory_utilization"
    )


@pytest.mark.parametrize(
    ("used", "gpu_share", "gpu_gib", "refused"),
    [  # of 24 GiB
        (1_331, 0.9, 0, False),  # 1.3 GiB of a desktop; answers leave 2.4
        (2_560, 0.9, 0, True),
        (2_560, 0, 20, False),  # training leaves 4
        (2_560, 0, 22, True),
        (1_331, 0.9, 30, False),  # no end of processes makes room for this training
    ],
)
def test_a_used_gpu_is_refused_where_the_run_needs_the_memory(
    used: int, gpu_share: float, gpu_gib: float, refused: bool, programs: Path
) -> None:
    install(
        programs, "nvidia-smi", f"0, GPU-0, RTX 4090, 580.65.06, 24576, {used}, 8.9, Disabled\n"
    )
    found = lines(Requirements(1, 1, EIGHT_B, gpu_share, gpu_gib))
    assert ["in use" in line for line in found[2:]] == [True] * refused


def test_a_gpu_without_bfloat16_is_refused_where_the_profile_has_it(programs: Path) -> None:
    install(
        programs,
        "nvidia-smi",
        "0, GPU-0, Tesla V100-SXM2-16GB, 580.65.06, 16384, 4, 7.0, Disabled\n",
    )
    assert lines(ONE)[2] == (
        "GPU 0: Tesla V100-SXM2-16GB, compute capability 7.0; expected 8.0 or newer, for bfloat16; "
        "another GPU, or take a profile for CPUs, such as params.yaml as it is in Git"
    )
    assert len(lines(ONE._replace(bfloat16=False))) == 2


def test_a_busy_gpu_that_no_stage_uses_is_no_obstacle(programs: Path) -> None:
    second = H200.replace(", 4, 9.0", ", 40960, 9.0")
    install(programs, "nvidia-smi", H100 + second)
    answers = ONE._replace(processes=0)
    assert len(lines(answers)) == 2
    assert "in use" in lines(answers._replace(all_gpus=True))[2]
    assert "in use" in lines(answers._replace(tensor_parallel_size=2))[2]
    install(programs, "nvidia-smi", H100.replace(", 4, 9.0", ", 40960, 9.0") + H200)
    assert "`export CUDA_VISIBLE_DEVICES=1`" in lines(ONE)[0]


def test_a_part_of_a_gpu_is_not_taken_for_a_whole_one(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = H100.replace("Disabled", "Enabled")
    install(programs, "nvidia-smi", split + H200)
    assert lines(ONE._replace(processes=0))[2] == (
        "GPU 0: divided into parts (MIG); expected a whole GPU, as no run on a part of one has "
        "been tried; `nvidia-smi -i 0 -mig 0`, or another in CUDA_VISIBLE_DEVICES"
    )
    assert machine.parse_gpus(split)[0].gib is None  # 80 GB are not those of a process
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-9f8e")
    assert lines(ONE) == [
        "GPUs: CUDA_VISIBLE_DEVICES=MIG-9f8e; expected a whole GPU, as no run on a part of one has "
        "been tried; name a whole one by its index; `dvc repro` does not ask"
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,1")
    assert lines(ONE)[0].startswith("GPUs: none is visible with CUDA_VISIBLE_DEVICES=1,1; expected")


def test_warnings_before_the_rows_and_bytes_that_are_no_text_are_passed_over(
    programs: Path,
) -> None:
    warning = "WARNING: infoROM is corrupted at gpu 0000:3B:00.0\n"
    assert machine.parse_gpus(warning + H100) == machine.parse_gpus(H100)
    install(programs, "nvidia-smi")
    (programs / "nvidia-smi.txt").write_bytes(H100.replace("NVIDIA", "\xae").encode("latin-1"))
    assert lines(ONE)[0] == "GPUs: 1 × \ufffd H100 80GB HBM3"


def test_triton_needs_a_compiler_and_headers(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(machine.check_compiler()) == (
        "C compiler: none; expected gcc or clang, for Triton; `apt install gcc`"
    )
    install(programs, "clang")
    assert machine.check_compiler() == Check("C compiler", str(programs / "clang"))
    monkeypatch.setenv("CC", "icc")
    assert "$CC = 'icc' is no program" in str(machine.check_compiler())
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    assert "-dev`" in machine.check_headers().remedy
    (tmp_path / "Python.h").touch()
    assert machine.check_headers() == Check("Python headers", str(tmp_path / "Python.h"))


def test_pytorch_for_cpus_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.14.0+cpu")
    assert machine.check_torch().remedy == "`make setup ACCELERATOR=gpu`"
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.14.0")
    assert machine.check_torch() == Check("torch", "2.14.0")


def paper() -> Params:
    return validate("", Params, read_all(ROOT / "profiles/paper.yaml"))


def test_a_sandbox_that_does_not_work_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> str:
        raise InputError("no user namespaces")

    monkeypatch.setattr("delta.grading.sandbox.check_sandbox", refuse)
    (check,) = machine.check_sandbox(paper())
    assert str(check).startswith("sandbox: no user namespaces; expected one that works; start a c")
    without = paper().model_copy(update={"benchmarks": {}})
    assert list(machine.check_sandbox(without)) == []


def test_every_process_fills_the_memory_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ram_bytes", lambda: 128 * 2**30)
    (check,) = machine.check_host_memory(paper(), ALL)
    # 8 x 8.03e9 x 4 bytes; 128 / 29.9 processes
    assert str(check) == (
        "host memory: 128 GiB; expected 239 GiB, as each of 8 processes loads nemotron-8b; a "
        "machine with more memory, or train.num_processes: 4 at most"
    )
    monkeypatch.setattr(machine, "ram_bytes", lambda: 2**40)
    assert list(machine.check_host_memory(paper(), ALL)) == [Check("host memory", "1,024 GiB")]


def test_a_container_has_the_memory_of_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "CGROUP_LIMIT", tmp_path / "memory.max")
    whole = machine.ram_bytes()
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.ram_bytes() == whole
    (tmp_path / "memory.max").write_text("1048576\n")
    assert machine.ram_bytes() == 2**20


def test_several_gpus_need_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        total = 64 * 2**20

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    (check,) = machine.check_shared_memory(ALL)
    assert str(check) == (
        "shared memory: /dev/shm has 0.06 GiB; expected 1 GiB for NCCL; start the container with "
        "--shm-size=16g or --ipc=host"
    )
    assert list(machine.check_shared_memory(ONE)) == []


def test_only_stages_on_gpus_of_this_machine_need_them() -> None:
    params = paper()
    models = ["s1-3b", "nemotron-49b"]
    all_of_ray = Requirements(8, 4, None, 0.92, 0, bfloat16=True, all_gpus=True)
    assert machine.requirements(params, models, True, None) == all_of_ray
    # 46.9 GiB of docs/gpu-hours.md, and 2 of CUDA
    base = sizes(params)["nemotron-8b"]
    assert machine.requirements(params, [], True, base).gpu_gib == pytest.approx(48.9, abs=0.1)
    assert not machine.requirements(params, ["nemotron-8b"], False, None).bfloat16  # float32
    assert machine.requirements(params, [], False, None).gpus == 0
    ray = params.engine.ray.model_copy(update={"address": "auto"})
    engine = params.engine.model_copy(update={"kind": "ray", "ray": ray})
    cluster = params.model_copy(update={"engine": engine})
    assert machine.requirements(cluster, models, False, None).gpus == 0
    laptop = validate("", Params, read_all(ROOT / "params.yaml"))
    assert machine.check_machine(laptop, machine.requirements(laptop, [], True, None)) == []


def test_the_plan_takes_the_gpu_of_this_machine_or_that_of_its_options(programs: Path) -> None:
    def node(**changes: Any) -> Any:

        options = {"gpu": None, "gpu_gib": None, "gpu_tflops": None, "gpus": None}
        return plan_command.node_of(Namespace(**(options | changes)))

    assert node() == GpuNode(GPUS["H100"], name="H100", note="assumed; this machine has none")
    assert node().heading(1) == "Hours on 1 × H100 (assumed; this machine has none)"
    assert node(gpu_gib=24.0).gpu == GPUS["RTX 4090"]
    assert node(gpu="RTX-4090").gpu == GPUS["RTX 4090"]
    assert node(gpu="A100", gpus=4) == GpuNode(GPUS["A100"], 4, False, "A100", "assumed")
    assert node(gpu_gib=141.0, gpu_tflops=500.0).gpu == GPUS["H200"]._replace(tflops=500)
    install(programs, "nvidia-smi", "0, GPU-0, NVIDIA L40S, 580.65.06, 46068, 4, 8.9, Disabled\n")
    assert node().is_here
    assert node().heading(1) == "Hours on 1 × NVIDIA L40S"
    assert node().gpu == GPUS["L40S"]._replace(gib=46068 / 1024)
    assert gpu_named("NVIDIA L4", 22.5) == GPUS["L4"]._replace(gib=22.5)
    assert gpu_named("Tesla V100", 16) is None
    install(programs, "nvidia-smi", f"0, 0, {SUPER}, 580.65.06, 16376, 4, 8.9, Disabled\n")
    assert node().gpu == GPUS["RTX 4090"]._replace(gib=16376 / 1024)  # its memory is kept
    assert node().heading(1) == (
        f"Hours on 1 × {SUPER} (speed not known, taken as that of RTX 4090)"
    )
    install(programs, "nvidia-smi", "0, 0, NVIDIA GB10, 580.95.05, [N/A], [N/A], 12.1, Disabled\n")
    assert "the memory of NVIDIA GB10 is not reported" in node().note


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40", "L40"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA A10", "A10"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA A40", "A40"),
        ("NVIDIA A30", "A30"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA GeForce RTX 3090 Ti", "RTX 3090"),
    ],
)
def test_a_gpu_is_known_by_whole_words_of_its_name(name: str, expected: str) -> None:
    assert gpu_named(name, 1.0) == GPUS[expected]._replace(gib=1.0)


@pytest.mark.usefixtures("programs")
def test_a_run_on_gpus_is_refused_with_every_reason_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask_hub(source: ExternalSource) -> Availability:
        gated = source.name == "meta-llama/Llama-3.3-70B-Instruct"
        return Availability("refused", "gated: …") if gated else Availability("found", "")

    class Usage:
        free = total = 100 * 2**30

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    stages = [Stage("train", (), (), data_changed=False, state="runs")]
    found = obstacles.obstacles(paper(), stages, ask_hub, lambda _: False, offline=False)
    kinds = [line.partition(":")[0] for line in found]
    assert kinds[:2] == ["GPU", "torch"]
    assert {"C compiler", "disk"} <= set(kinds)
    assert "models.llama-70b.hub (meta-llama/Llama-3.3-70B-Instruct): gated: …" in found
    laptop = validate("", Params, read_all(ROOT / "params.yaml"))
    assert obstacles.obstacles(laptop, stages, ask_hub, lambda _: False, offline=False) == []


def test_repro_starts_nothing_where_something_is_in_the_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("delta.check.check", paper)
    monkeypatch.setattr("delta.cli.repair_dvc.main", lambda _: None)
    monkeypatch.setattr("delta.plan.dvc_state.read_stages", list)
    monkeypatch.setattr(repro, "obstacles", lambda *_: ["GPUs: none is visible; …"])
    monkeypatch.setattr(repro, "run_stages", lambda *_: pytest.fail("it was started"))
    assert repro.main(Namespace(record=False)) == 2
    assert capsys.readouterr().out.splitlines() == [
        "This machine lacks what the run needs; nothing was started (`dvc repro` would not ask):",
        "GPUs: none is visible; …",
    ]
