"""The types of what a check of bench/gpu_smoke.py is given and returns."""

from pathlib import Path
from typing import Any, NamedTuple

Details = dict[str, Any]  # becomes a part of the check's line


class Setting(NamedTuple):
    """Says how large a check may be, and where it runs."""

    tiny: bool  # sizes for a CPU in CI
    device: str  # "cuda" or "cpu"
    folder: Path  # of all groups; removed afterwards

    def sized(self, full: Any, tiny: Any) -> Any:
        """Return the value for this size."""
        return tiny if self.tiny else full


class Bounds(NamedTuple):
    """The numbers that are expected, both ends included. None: no bound."""

    low: float | None = None
    high: float | None = None

    def hold(self, value: float) -> bool:
        """Return whether the value is finite and within the bounds."""
        low = float("-inf") if self.low is None else self.low
        high = float("inf") if self.high is None else self.high
        return low <= value <= high and abs(value) < float("inf")

    def __str__(self) -> str:
        parts = []
        if self.low is not None:
            parts.append(f"at least {self.low:,g}")
        if self.high is not None:
            parts.append(f"at most {self.high:,g}")
        return ", ".join(parts) or "any finite number"


class Check(NamedTuple):
    """A number that the script measures, and what it should be."""

    what: str
    unit: str
    expected: Bounds
    # Of the tiny run on a CPU, where it differs: a CPU's speed says nothing about a GPU's.
    on_cpu: Bounds | None = None

    def bounds(self, setting: Setting) -> Bounds:
        """Return what is expected in this setting."""
        if setting.device == "cpu" and self.on_cpu is not None:
            return self.on_cpu
        return self.expected


class Measurement(NamedTuple):
    """The value of one check; None with the reason why it cannot run."""

    check: str
    value: float | None
    details: Details | None = None
    skipped: str = ""


class SkippedError(Exception):
    """The rest of a group cannot run here. The message says why."""
