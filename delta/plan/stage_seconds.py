"""Read and record the time of each stage, from which `repro` and `plan` tell the time left.

stage_seconds.json is measured, on the machine and the day that it names. To measure it again, run
`python -m delta repro --record` in a fresh clone with nothing else on the machine. While it holds
no stage, nothing is said about time.
"""

import datetime
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from delta.core import progress
from delta.core.errors import InputError
from delta.core.files import write_text
from delta.core.machine import cpu

FILE = Path(__file__).with_suffix(".json")


class StageSeconds(NamedTuple):
    """The content of stage_seconds.json."""

    profile: str  # `profile` of params.yaml
    machine: str | None
    date: str | None
    # "train", "generate@zero-shot", "replies generate" → wall-clock time, all processes
    seconds: dict[str, float]


def read(path: Path = FILE) -> StageSeconds:
    """Read the recorded times. Raises InputError where the file is missing or damaged."""
    try:
        return StageSeconds(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: missing or damaged; restore it from Git") from error


def seconds_of(profile: str, path: Path = FILE) -> dict[str, float]:
    """Return the recorded seconds by stage; empty where `profile` has not been recorded."""
    recorded = read(path)
    return recorded.seconds if recorded.profile == profile else {}


def describe(profile: str, stages: Iterable[str], path: Path = FILE) -> str | None:
    """Return how long these stages took when they were recorded; None if one of them was not."""
    recorded, names = read(path), set(stages)
    if recorded.profile != profile or not names or not names <= recorded.seconds.keys():
        return None
    groups = {name.partition("@")[0] for name in names}
    names |= recorded.seconds.keys() & {progress.REPLIES + group for group in groups}
    took = progress.rough_duration(sum(recorded.seconds[name] for name in names))
    return (
        f"Recorded: these stages took {took} with the profile's own parameters and no cached reply "
        f"({recorded.machine}, {recorded.date})."
    )


def write(profile: str, seconds: Mapping[str, float], path: Path = FILE) -> None:
    """Write the times of a run of this day on this machine."""
    rounded = {stage: round(took, 1) for stage, took in seconds.items()}
    today = datetime.date.today().isoformat()
    record = StageSeconds(profile, cpu(), today, rounded)
    write_text(path, json.dumps(record._asdict(), indent=1, ensure_ascii=False) + "\n")
