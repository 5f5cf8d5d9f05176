"""Say where a run of the pipeline is: "stage 7 of 29", and about how long the rest takes.

`python -m delta repro` writes the stages that it expects to run to a file (`start`) and names it in
$DELTA_PROGRESS. Each stage adds a line when it ends (`end_stage`), and so does the command
`replies`, which runs between stages (`end_replies`). Without that file, as in a plain `dvc repro`,
nothing is known about the run.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

VARIABLE = "DELTA_PROGRESS"
REPLIES = "replies "  # begins the name of a command between stages: "replies generate"
# Recorded seconds that count as gone by as recorded: the first short stages of a run, which mostly
# start Python, say little about the speed of the long ones.
TRUSTED_S = 60.0


class Progress(NamedTuple):
    """A run of the pipeline. Times are of the monotonic clock, which all processes share."""

    steps: list[str]  # that are expected to run, in this order: stages, and commands of REPLIES
    recorded: dict[str, float]  # seconds of a step in an earlier run; may lack steps
    start: float
    ended: dict[str, float]  # step → time

    @property
    def stages(self) -> list[str]:
        """Return the steps that are stages."""
        return [step for step in self.steps if not step.startswith(REPLIES)]

    def seconds(self) -> dict[str, float]:
        """Return how long each ended step took, with what DVC did before it."""
        times = [self.start, *self.ended.values()]
        return {
            step: end - before
            for step, before, end in zip(self.ended, times[:-1], times[1:], strict=True)
        }

    def seconds_left(self) -> float | None:
        """Return how long the steps after the last one take; None if none or one is not recorded.

        The recorded seconds are scaled by the speed of this run so far.
        """
        after = self.steps
        if self.ended:
            after = after[after.index(list(self.ended)[-1]) + 1 :]
        if not after or not self.recorded.keys() >= set(after):
            return None
        known = {step: took for step, took in self.seconds().items() if step in self.recorded}
        before = TRUSTED_S + sum(self.recorded[step] for step in known)
        speed = (TRUSTED_S + sum(known.values())) / before
        return speed * sum(self.recorded[step] for step in after)


def start(path: Path, steps: Sequence[str], recorded: Mapping[str, float]) -> None:
    """Write the file of a run that begins now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first = {"steps": list(steps), "recorded": dict(recorded), "start": time.monotonic()}
    path.write_text(json.dumps(first) + "\n", encoding="utf-8")


def read(path: Path) -> Progress | None:
    """Return the run, or None if there is no such file or it is damaged."""
    try:
        first, *ends = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        ended = {end["step"]: float(end["time"]) for end in ends}
        run = Progress(first["steps"], first["recorded"], float(first["start"]), ended)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return run if run.ended.keys() <= set(run.steps) else None


def current(step: str) -> Progress | None:
    """Return the run that `step` belongs to; None if nothing is known about it."""
    path = os.environ.get(VARIABLE)
    run = read(Path(path)) if path else None
    return run if run is not None and step in run.steps else None


def position(stage: str, run: Progress | None) -> str:
    """Return "stage 7 of 29: evaluate policy", or without the number where it is not known."""
    name = stage.replace("@", " ")
    if run is None:
        return name
    return f"stage {run.stages.index(stage) + 1} of {len(run.stages)}: {name}"


def end_stage(stage: str, result: str, seconds: float | None) -> str:
    """Note that a stage has ended and return the line that says so.

    `seconds` is the time of this process. In a known run it is the time since the stage before.
    """
    _note_end(stage)
    run = current(stage)
    left = None
    if run is not None and stage in run.ended:
        seconds, left = run.seconds()[stage], run.seconds_left()
    times = [] if seconds is None else [duration(seconds)]
    if left is not None:
        times.append(f"about {rough_duration(left)} left")
    return f"{position(stage, run)}: {result}" + (f" ({', '.join(times)})" if times else "")


def end_replies(stage: str) -> None:
    """Note that the model has been asked for all items of `stage`."""
    _note_end(REPLIES + stage)


def _note_end(step: str) -> None:
    if current(step) is not None:
        line = json.dumps({"step": step, "time": time.monotonic()})
        # The step has succeeded, also where the disk is full.
        with suppress(OSError), Path(os.environ[VARIABLE]).open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def duration(seconds: float) -> str:
    """Return "12 s", "2 min 10 s" or "1 h 5 min"."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def rough_duration(seconds: float) -> str:
    """Return a duration that is only estimated: "40 s", "6 min" or "2 h 10 min"."""
    if seconds < 55:
        return f"{max(1, round(seconds / 10)) * 10} s"
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60 // 10 * 10} min"
