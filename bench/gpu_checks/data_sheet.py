"""The data sheet of the GPU at hand, from the table that `make plan` computes with."""

from bench.gpu_checks.check import Setting
from delta.plan.model_sizes import GIB
from delta.plan.speeds import Gpu, gpu_named

UNKNOWN = "its data sheet is not known here"


def data_sheet(setting: Setting) -> Gpu | None:
    """Return the peaks of the GPU; None for one that is not in the table, and for a CPU."""
    if setting.device != "cuda":
        return None
    import torch

    memory = torch.cuda.get_device_properties(0).total_memory
    return gpu_named(torch.cuda.get_device_name(0), memory / GIB)


def peak_tflops(setting: Setting) -> float | None:
    """Return the GPU's dense peak in bfloat16; None where it is not known."""
    sheet = data_sheet(setting)
    return None if sheet is None else sheet.tflops
