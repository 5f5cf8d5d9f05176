"""Check the machine of a run that uses GPUs, before a byte is downloaded.

Each check has one line: what was found, what is expected, and the remedy.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from delta.check import Params
from delta.core.errors import InputError
from delta.data.formats.code import HumanEvalSource, LiveCodeBenchSource
from delta.grading import sandbox
from delta.plan.assumptions import CUDA_GIB
from delta.plan.costs import uses_gpu
from delta.plan.model_sizes import BYTES, GIB, Size
from delta.plan.requests import own_serving
from delta.plan.training_memory import least_bytes

QUERY = (
    *("index", "uuid", "name", "driver_version"),
    *("memory.total", "memory.used", "compute_cap", "mig.mode.current"),
)
QUERY_TIMEOUT_S = 60  # a node with eight GPUs and no persistence daemon takes many seconds
MIN_DRIVER = 580  # of CUDA 13, which torch 2.14 is built for
MIN_BFLOAT16 = 8.0  # compute capability: Ampere
MIN_SHARED_GIB = 1.0  # NCCL's documentation; containers have 64 MiB
COMPILERS = ("gcc", "clang")  # in Triton's order
SANDBOX_OPTIONS = ("seccomp", "systempaths", "apparmor")  # of Docker: user namespaces and /proc
WHOLE = "a whole GPU, as no run on a part of one has been tried"
NO_GPU = "take a profile for CPUs, such as params.yaml as it is in Git"
MEMINFO, CGROUP_LIMIT = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")
SHARED_MEMORY = Path("/dev/shm")


class FoundGpu(NamedTuple):
    """A GPU as nvidia-smi reports it."""

    number: str
    uuid: str
    name: str
    driver: str
    gib: float | None  # None: not reported, as where CPU and GPU share their memory
    used_gib: float | None
    capability: float | None = None  # compute capability
    is_split: bool = False  # into parts (MIG); a process has a part of the memory


class Check(NamedTuple):
    """One thing that a run needs of its machine."""

    what: str
    found: str
    expected: str = ""
    remedy: str = ""  # empty: nothing is in the way

    def __str__(self) -> str:
        if not self.remedy:
            return f"{self.what}: {self.found}"
        return f"{self.what}: {self.found}; expected {self.expected}; {self.remedy}"


class Requirements(NamedTuple):
    """What the stages that are to run require of this machine."""

    processes: int  # of training; 0: none
    tensor_parallel_size: int  # the largest of the models asked here; 0: none
    base: Size | None  # of training
    gpu_share: float = 0.0  # of a GPU's memory, that vLLM takes
    gpu_gib: float = 0.0  # that training takes of a GPU
    bfloat16: bool = False
    all_gpus: bool = False  # that are visible, for the replicas of Ray

    @property
    def gpus(self) -> int:
        """Return how many GPUs the run needs at once."""
        return max(self.processes, self.tensor_parallel_size)


def requirements(
    params: Params, models: Sequence[str], trains: bool, base: Size | None
) -> Requirements:
    """Return what asking `models` and training require. A Ray cluster has its own GPUs."""
    elsewhere = params.engine.kind == "ray" and params.engine.ray.address == "auto"
    if elsewhere or params.engine.vllm.gpu_memory_utilization is None:
        models = []
    sizes = [
        serving.tensor_parallel_size
        for name in models
        if (serving := own_serving(params, name)) is not None
    ]
    train = params.train
    trains = trains and uses_gpu(params)
    share = (params.engine.vllm.gpu_memory_utilization or 0.0) if sizes else 0.0
    return Requirements(
        train.num_processes if trains else 0,
        max(sizes, default=0),
        base,
        share,
        least_bytes(train, base) / GIB + CUDA_GIB.value if trains and base else 0.0,
        (trains and train.bf16)
        or any(getattr(params.serving[name], "dtype", "") == "bfloat16" for name in models),
        all_gpus=params.engine.kind == "ray" and bool(sizes),
    )


def check_machine(params: Params, wanted: Requirements) -> list[Check]:
    """Return all checks; none where the stages use no GPU of this machine."""
    if not wanted.gpus:
        return []
    return [
        *check_gpus(wanted),
        check_torch(),
        check_compiler(),
        check_headers(),
        *check_sandbox(params),
        *check_host_memory(params, wanted),
        *check_shared_memory(wanted),
    ]


def read_gpus() -> list[FoundGpu]:
    """Return the GPUs that a process sees. Raises InputError where nvidia-smi does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        raise InputError("nvidia-smi is not on PATH")
    command = [program, f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=QUERY_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"nvidia-smi does not answer ({error})") from error
    if done.returncode:
        text = " ".join((done.stdout + done.stderr).split())
        raise InputError(f"nvidia-smi: {text[:120] or f'exit code {done.returncode}'}")
    return visible(parse_gpus(done.stdout), os.environ.get("CUDA_VISIBLE_DEVICES"))


def parse_gpus(text: str) -> list[FoundGpu]:
    """Return the GPUs in the answer to QUERY, which warnings may precede.

    Raises InputError where no line has the columns.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rows = [[cell.strip() for cell in line.split(",")] for line in lines]
    gpus = [_found_gpu(cells) for cells in rows if len(cells) == len(QUERY)]
    if lines and not gpus:
        raise InputError(f"nvidia-smi: {lines[0]!r}; expected {', '.join(QUERY)}")
    return gpus


def _found_gpu(cells: Sequence[str]) -> FoundGpu:
    number, uuid, name, driver, total, used, capability, mig = cells
    is_split = mig == "Enabled"
    gib, used_gib = (None, None) if is_split else (_gib(total), _gib(used))
    return FoundGpu(number, uuid, name, driver, gib, used_gib, _number(capability), is_split)


def _gib(mebibytes: str) -> float | None:
    number = _number(mebibytes)
    return None if number is None else number / 1024


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:  # [N/A], [Not Supported]
        return None


def visible(gpus: list[FoundGpu], variable: str | None) -> list[FoundGpu]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES leaves: indices, or beginnings of UUIDs."""
    if variable is None:
        return gpus
    chosen: list[FoundGpu] = []
    for word in (part.strip() for part in variable.split(",")):
        found = [gpu for gpu in gpus if word and (word == gpu.number or gpu.uuid.startswith(word))]
        if not found:  # CUDA ignores what follows a name that is none
            break
        if found[0] in chosen:  # of a list that repeats one, CUDA sees none
            return []
        chosen += found[:1]
    return chosen


def check_gpus(wanted: Requirements) -> Iterator[Check]:
    """Yield the checks of number and driver, and of the GPUs that are used."""
    try:
        gpus = read_gpus()
    except InputError as error:
        remedy = "install NVIDIA's driver, or start the container with --gpus all; without a GPU "
        expected = f"a GPU of NVIDIA and its driver, {MIN_DRIVER} or newer"
        yield Check("GPU", str(error), expected, remedy + NO_GPU)
        return
    yield _check_number(gpus, wanted)
    if not gpus:
        return
    major = gpus[0].driver.partition(".")[0]
    if major.isdigit() and int(major) < MIN_DRIVER:
        expected = f"{MIN_DRIVER} or newer, for CUDA 13"
        yield Check("driver", gpus[0].driver, expected, "update NVIDIA's driver on the host")
    else:
        yield Check("driver", gpus[0].driver)
    for gpu in gpus if wanted.all_gpus else gpus[: wanted.gpus]:
        yield from _check_gpu(gpu, wanted)


def _check_gpu(gpu: FoundGpu, wanted: Requirements) -> Iterator[Check]:
    what = f"GPU {gpu.number}"
    if gpu.is_split:
        remedy = f"`nvidia-smi -i {gpu.number} -mig 0`, or another in CUDA_VISIBLE_DEVICES"
        yield Check(what, "divided into parts (MIG)", WHOLE, remedy)
    if wanted.bfloat16 and gpu.capability is not None and gpu.capability < MIN_BFLOAT16:
        found = f"{gpu.name}, compute capability {gpu.capability}"
        remedy = f"another GPU, or {NO_GPU}"
        yield Check(what, found, f"{MIN_BFLOAT16} or newer, for bfloat16", remedy)
    if gpu.gib is None or gpu.used_gib is None:
        return
    free = max(0.0, gpu.gib - _needed_gib(gpu.gib, wanted))
    if gpu.used_gib > free:
        found = f"{gpu.used_gib:.1f} GiB in use"
        remedy = f"end the processes that `nvidia-smi -i {gpu.number}` names"
        if wanted.gpu_share:
            remedy += ", or lower engine.vllm.gpu_memory_utilization"
        expected = f"at most {free:.1f}, which the run leaves of {gpu.gib:.1f}"
        yield Check(what, found, expected, remedy)


def _needed_gib(gib: float, wanted: Requirements) -> float:
    """Return what answers and training take of a GPU; training only where an empty GPU has it."""
    training = wanted.gpu_gib if wanted.gpu_gib < gib else 0.0
    return max(wanted.gpu_share * gib, training)


def _check_number(gpus: list[FoundGpu], wanted: Requirements) -> Check:
    number, variable = len(gpus), os.environ.get("CUDA_VISIBLE_DEVICES")
    if variable is not None and variable.strip().startswith("MIG-"):
        remedy = "name a whole one by its index; `dvc repro` does not ask"
        return Check("GPUs", f"CUDA_VISIBLE_DEVICES={variable}", WHOLE, remedy)
    names = dict.fromkeys(gpu.name for gpu in gpus)
    found = f"{number} × {', '.join(names)}" if gpus else "none is visible"
    if not gpus and variable is not None:
        found += f" with CUDA_VISIBLE_DEVICES={variable}"
    if number < wanted.gpus:
        by_training = wanted.processes == wanted.gpus
        key = "train.num_processes" if by_training else "tensor_parallel_size of a model"
        remedy = f"lower {key}" if gpus else f"unset CUDA_VISIBLE_DEVICES, or {NO_GPU}"
        return Check("GPUs", found, f"{wanted.gpus} ({key})", remedy)
    if wanted.processes == 1 and number > 1:
        least_used = min(gpus, key=lambda gpu: (gpu.is_split, gpu.used_gib or 0.0))
        remedy = (
            f"`export CUDA_VISIBLE_DEVICES={least_used.number}`, or set train.num_processes: "
            f"{number} and train.fsdp: true"
        )
        expected = "one, as TRL refuses a process that sees several (train.num_processes: 1)"
        return Check("GPUs", found, expected, remedy)
    return Check("GPUs", found)


def check_torch() -> Check:
    """Check that the installed PyTorch is not the build for CPUs."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        version = "not installed"
    if version == "not installed" or version.endswith("+cpu"):
        remedy = "`make setup ACCELERATOR=gpu`"
        return Check("torch", version, "a build for CUDA", remedy)
    return Check("torch", version)


def check_compiler() -> Check:
    """Check that Triton finds a C compiler, which it starts during a run."""
    named = os.environ.get("CC")
    candidates = (named,) if named else COMPILERS
    paths = [path for name in candidates if (path := shutil.which(name))]
    if paths:
        return Check("C compiler", paths[0])
    found = f"$CC = {named!r} is no program" if named else "none"
    return Check("C compiler", found, "gcc or clang, for Triton", "`apt install gcc`")


def check_headers() -> Check:
    """Check that Triton finds Python's headers, which its launchers are compiled with."""
    header = Path(sysconfig.get_path("include"), "Python.h")
    if header.is_file():
        return Check("Python headers", str(header))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    remedy = f"`apt install python{version}-dev`"
    return Check("Python headers", "none", f"{header}, for Triton", remedy)


def check_sandbox(params: Params) -> Iterator[Check]:
    """Yield a check that generated programs can be run, where a benchmark has some."""
    sources = [entry.source for entry in params.benchmarks.values()]
    kinds = (HumanEvalSource, LiveCodeBenchSource)
    if not any(isinstance(s, kinds) or getattr(s, "grader", "") == "code" for s in sources):
        return
    try:
        yield Check("sandbox", sandbox.check_sandbox(params.grading.code))
    except InputError as error:
        options = (f"--security-opt {name}=unconfined" for name in SANDBOX_OPTIONS)
        remedy = f"start a container with {' '.join(options)} (docs/one-gpu.md)"
        yield Check("sandbox", str(error), "one that works", remedy)


def ram_bytes() -> int:
    """Return the memory of this machine, or of its container where that has less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = CGROUP_LIMIT.read_text(encoding="ascii").strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def check_host_memory(params: Params, wanted: Requirements) -> Iterator[Check]:
    """Yield a check of the memory for the base, which every process fills before it is sharded."""
    if not wanted.processes or wanted.base is None:
        return
    each = wanted.base.parameters * BYTES[params.train.dtype] / GIB
    needed, ram = each * wanted.processes, ram_bytes() / GIB
    found = f"{ram:,.0f} GiB"
    if needed < ram:
        yield Check("host memory", found)
        return
    expected = (
        f"{needed:,.0f} GiB, as each of {wanted.processes} processes loads {params.train.base}"
    )
    fewer = int(ram / each)
    remedy = f"train.num_processes: {fewer} at most" if fewer else "a smaller base"
    yield Check("host memory", found, expected, f"a machine with more memory, or {remedy}")


def check_shared_memory(wanted: Requirements) -> Iterator[Check]:
    """Yield a check of /dev/shm, over which the processes of several GPUs exchange data."""
    if wanted.gpus < 2 or not SHARED_MEMORY.is_dir():
        return
    gib = shutil.disk_usage(SHARED_MEMORY).total / GIB
    found = f"{SHARED_MEMORY} has {gib:.2f} GiB"
    if gib >= MIN_SHARED_GIB:
        yield Check("shared memory", found)
        return
    remedy = "start the container with --shm-size=16g or --ipc=host"
    yield Check("shared memory", found, f"{MIN_SHARED_GIB:g} GiB for NCCL", remedy)
