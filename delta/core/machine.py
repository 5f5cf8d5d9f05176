"""Name the machine that a result was computed on."""

import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def cpu() -> str:
    """Return the number of processors that this process may use, and their model."""
    return f"{len(os.sched_getaffinity(0))} × {_model()}"


def _model() -> str:
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return " ".join(names[0].split()) if names else f"{platform.machine()} processor"
